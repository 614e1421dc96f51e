"""IMIL as a callback of the Trainer of Hugging Face's transformers."""

import contract
import pytest
import torch
from test_imil_callback import Positions
from torch import nn

from imil import pytorch
from imil.errors import DataError, RoundPaused, SettingsError
from imil.store import Store
from imil.treatments import find_treatment


@pytest.fixture
def huggingface():
    """The module under test; its import takes seconds, so that not every worker makes it."""
    pytest.importorskip("transformers", reason="needs transformers: pip install imil[huggingface]")
    pytest.importorskip("accelerate", reason="needs accelerate: pip install imil[huggingface]")
    from imil import huggingface

    return huggingface


class Classifier(nn.Module):
    """As the image classifiers of transformers are called, and what they return."""

    def __init__(self, net=None):
        super().__init__()
        self.net = net or contract.make_net()

    def forward(self, pixel_values, labels=None):
        logits = self.net(pixel_values)
        if labels is None:
            return {"logits": logits}
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Fitting:
    """A Trainer, and the images that it has drawn in each epoch."""

    def __init__(self, huggingface, folder, data, epochs, *, net=None, **arguments):
        import transformers

        class Epochs(transformers.TrainerCallback):
            def on_epoch_begin(self, *args, **kwargs):
                drawn.append({})

        def collate(items):
            drawn[-1].update({i: image[0].numpy() for i, image, _ in items})
            return huggingface.collate([item[1:] for item in items])

        drawn = self.drawn = []
        self.model = Classifier(net)
        sgd = torch.optim.SGD(self.model.parameters(), 0.1, momentum=0.9)
        arguments = {"save_strategy": "no"} | arguments
        self.trainer = transformers.Trainer(
            self.model,
            transformers.TrainingArguments(
                output_dir=folder,
                num_train_epochs=epochs,
                per_device_train_batch_size=8,
                lr_scheduler_type="constant",
                report_to="none",
                use_cpu=True,
                disable_tqdm=True,
                seed=1,
                **arguments,
            ),
            train_dataset=Positions(data),
            data_collator=collate,
            optimizers=(sgd, None),
            callbacks=[Epochs()],
        )
        self.trainer.remove_callback(transformers.PrinterCallback)


@pytest.fixture
def fit(huggingface, tmp_path):
    def fit(
        samples,
        ask,
        store,
        imil_epoch,
        epochs,
        *,
        num_outliers=5,
        data=None,
        net=None,
        fits=1,
        times=1,
    ):
        fitting = Fitting(huggingface, tmp_path, data or samples, epochs, net=net)
        if ask:
            more = {"store": store, "imil_epoch": imil_epoch, "num_outliers": num_outliers}
            imil = pytorch.IMIL(samples, fitting.model, ask, **more)
            callback = huggingface.IMIL(imil)
            for _ in range(times):
                fitting.trainer.add_callback(callback)
        for _ in range(fits):
            fitting.trainer.train()
        return fitting.model.state_dict(), fitting.drawn

    return fit


@pytest.mark.parametrize("check", contract.FRAMEWORK_CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, fit, tmp_path):
    check(fit, tmp_path)


def with_imil(huggingface, folder, ask, store, epochs=3, **how):
    """A Trainer with IMIL, with a round after epoch 1."""
    samples = contract.make_samples()
    fitting = Fitting(huggingface, folder, samples, epochs, save_strategy="epoch")
    imil = pytorch.IMIL(
        samples, fitting.model, ask, store=store, imil_epoch=1, num_outliers=5, **how
    )
    fitting.trainer.add_callback(huggingface.IMIL(imil))
    fitting.samples = samples
    return fitting


def test_a_paused_round_is_saved_and_goes_on_when_training_is_resumed(huggingface, tmp_path):
    store, shown = Store(tmp_path / "s"), []

    def two(cases):
        yield from contract.Fixed()(cases[:2])

    def rest(cases):
        shown.extend(case.number for case in cases)
        yield from contract.Fixed()(cases)

    with pytest.raises(RoundPaused, match="3 of 5"):
        with_imil(huggingface, tmp_path, two, store).trainer.train()
    later = with_imil(huggingface, tmp_path, rest, store)
    later.trainer.train(resume_from_checkpoint=True)
    assert shown == [3, 4, 5]
    assert len(later.drawn) == 2  # epochs 2 and 3
    assert sum(later.samples.corrected(i) is not None for i in range(contract.N)) == 5


def test_a_training_that_resumes_without_its_store_is_refused(huggingface, tmp_path):
    with_imil(huggingface, tmp_path, contract.Fixed(), tmp_path / "s", epochs=1).trainer.train()
    other = with_imil(huggingface, tmp_path, contract.nobody, tmp_path / "other", epochs=2)
    with pytest.raises(SettingsError, match="has no such round: give the store and the run of"):
        other.trainer.train(resume_from_checkpoint=True)


def test_a_training_that_ends_within_an_epoch_holds_no_round_there(huggingface, tmp_path):
    samples = contract.make_samples()
    fitting = Fitting(huggingface, tmp_path, samples, 1, max_steps=4)  # of 3 an epoch
    store = Store(tmp_path / "s")
    imil = pytorch.IMIL(samples, fitting.model, contract.Fixed(), store=store, imil_epoch=[1, 2])
    fitting.trainer.add_callback(huggingface.IMIL(imil))
    fitting.trainer.train()
    assert [round_.epoch for round_ in store.rounds()] == [1]


def test_two_callbacks_of_one_training_hold_one_round(huggingface, tmp_path):
    asked = []

    def counting(cases):
        asked.extend(cases)
        yield from contract.Fixed()(cases)

    fitting = with_imil(huggingface, tmp_path, counting, Store(tmp_path / "s"), epochs=2)
    again = fitting.trainer.callback_handler.callbacks[-1]
    fitting.trainer.add_callback(huggingface.IMIL(again.imil))
    fitting.trainer.train()
    assert len(asked) == 5


def test_a_model_that_is_not_the_one_that_is_explained_is_refused(huggingface, tmp_path):
    fitting = with_imil(huggingface, tmp_path, contract.nobody, Store(tmp_path / "s"))
    fitting.trainer.callback_handler.callbacks[-1].imil.model.module = Classifier()
    with pytest.raises(SettingsError, match="is trained is not the Classifier that IMIL was"):
        fitting.trainer.train()


def test_items_that_are_no_pairs_of_image_and_class_are_refused(huggingface):
    mixing = find_treatment("square-mixup")
    samples = pytorch.CorrectedDataset(contract.Films(), treatment=mixing)
    with pytest.raises(DataError, match="write a data_collator and a compute_loss_func"):
        huggingface.collate([samples[0], samples[1]])


def test_the_trainers_log_gets_the_numbers_of_a_round_under_stable_names(huggingface, tmp_path):
    fitting = with_imil(huggingface, tmp_path, contract.Fixed(), Store(tmp_path / "s"), epochs=2)
    callback = fitting.trainer.callback_handler.callbacks[-1]
    assert callback.log is None
    callback.log = fitting.trainer.log
    fitting.trainer.train()
    (found,) = (row for row in fitting.trainer.state.log_history if "imil/round/epoch" in row)
    assert found["imil/round/readings/focus"] == 5
    assert (found["imil/round/epoch"], found["step"]) == (1, 3)
