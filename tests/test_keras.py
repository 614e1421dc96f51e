"""IMIL as a Keras callback. KERAS_BACKEND says on which backend; torch by default."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import contract
import numpy as np
import pytest
import torch

from imil.errors import DataError, RoundPaused, SettingsError
from imil.reader_panel import ReaderPanel
from imil.store import Store

# of Keras about NumPy, and of the backends about themselves
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.process,  # importing Keras starts one
]

BACKEND = os.environ["KERAS_BACKEND"]


@pytest.fixture(scope="module")
def keras():
    """Keras, on the backend of this process."""
    pytest.importorskip("keras", reason="needs Keras: pip install imil[keras]")
    import keras

    return keras


@pytest.fixture
def imil_keras(keras):
    import imil.keras

    return imil.keras


def make_net(keras, *, last="linear", flat=False):
    """Batch norm and dropout: both show whether a round leaves a trace."""
    layers = keras.layers
    keras.utils.set_random_seed(contract.SEED)
    if flat:
        body = [layers.Flatten()]
    else:
        body = [
            layers.Conv2D(6, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.2),
            layers.Conv2D(6, 3),
            layers.GlobalAveragePooling2D(),
        ]
    net = keras.Sequential(
        [keras.Input((contract.SIZE, contract.SIZE, 1)), *body, layers.Dense(3, activation=last)]
    )
    net.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=last == "linear"),
    )
    return net


def make_samples(imil_keras, *, noisy=False, easy=False):
    rng = np.random.default_rng(contract.SEED)

    def view(image):
        return image.astype(np.float32) / 255

    def transform(image):
        return view(image) + 0.01 * rng.random(dtype=np.float32) * (image > 0)

    return imil_keras.CorrectedDataset(
        contract.Films(easy=easy),
        transform=transform if noisy else view,
        view=view,
        keys=[f"f{i}" for i in range(contract.N)],
    )


def noting(imil_keras, keras, data):
    """Batches of the samples that note what is drawn, and the callback that begins each epoch."""
    drawn = []

    class Noting(imil_keras.Batches):
        def __getitem__(self, index):
            images, labels = super().__getitem__(index)
            rows = self._order[index * self.batch_size :][: len(labels)].tolist()
            if drawn:  # Keras draws one before training
                drawn[-1].update(zip(rows, images[..., 0], strict=True))
            return images, labels

    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: drawn.append({}))
    return Noting(data, 8, seed=1), begin, drawn


@pytest.fixture
def fit(keras, imil_keras):
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
        batches, begin, drawn = noting(imil_keras, keras, data or samples)
        callbacks = [begin]
        net = net or make_net(keras)
        if ask:
            more = {"store": store, "imil_epoch": imil_epoch, "num_outliers": num_outliers}
            callbacks += [imil_keras.IMIL(samples, ask, **more)] * times
        keras.utils.set_random_seed(1)
        for _ in range(fits):
            net.fit(batches, epochs=epochs, callbacks=callbacks, verbose=0, shuffle=False)
        weights = enumerate(map(keras.ops.convert_to_numpy, net.variables))
        return {name: torch.from_numpy(np.array(value)) for name, value in weights}, drawn

    fit.make_samples = lambda **how: make_samples(imil_keras, **how)
    fit.make_flat_net = lambda: make_net(keras, flat=True)
    return fit


@pytest.mark.parametrize("check", contract.FRAMEWORK_CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, fit, tmp_path):
    check(fit, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_all_of_this_on_another_backend(backend):
    for module in ("keras", backend):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}, which is not installed")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider",
         "-W", "ignore::DeprecationWarning", __file__],
        env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:]


def reference_map(keras, net, image, of):
    """Grad-CAM of one class by finite differences, at the map's own size."""
    at = max(i for i, one in enumerate(net.layers) if len(one.output.shape) == 4)

    def through(layers, value):
        for layer in layers:
            value = layer(value, training=False)
        return keras.ops.convert_to_numpy(value)

    maps = through(net.layers[: at + 1], image[None])
    steps = 0.5 * np.eye(maps.size, dtype=np.float32).reshape(-1, *maps.shape[1:])
    up, down = (through(net.layers[at + 1 :], maps + sign * steps)[:, of] for sign in (1, -1))
    weights = (up - down).reshape(maps.shape[1:]).mean(axis=(0, 1))
    return np.maximum((maps[0] * weights).sum(-1), 0)


def test_a_heat_map_is_that_of_finite_differences(keras, imil_keras):
    net, samples = make_net(keras), make_samples(imil_keras)
    cams = imil_keras.KerasModel(net).explain(samples, [0, 0, 0], [0, 1, 2])
    assert max(cam.max() for cam in cams) == 1
    for of, cam in enumerate(cams):
        expected = torch.from_numpy(reference_map(keras, net, samples.view(0), of))[None, None]
        size = (contract.SIZE, contract.SIZE)
        large = torch.nn.functional.interpolate(expected, size=size, mode="bilinear")[0, 0].numpy()
        np.testing.assert_allclose(cam, large / max(large.max(), 1e-9), atol=2e-3)


def test_a_base_model_within_a_model_is_explained_at_its_output(keras, imil_keras):
    """As for transfer learning: the base is one layer."""
    layers, samples = keras.layers, make_samples(imil_keras)
    keras.utils.set_random_seed(0)
    image = keras.Input((contract.SIZE, contract.SIZE, 1))
    base = keras.Model(image, layers.Conv2D(4, 3, activation="relu")(image), name="base")
    end = [layers.GlobalAveragePooling2D(), layers.Dense(3)]
    other = keras.Input((contract.SIZE, contract.SIZE, 1))
    for net in (
        keras.Sequential([base, *end]),
        keras.Model(other, end[1](end[0](base(other)))),
    ):
        explaining = imil_keras.KerasModel(net)
        explaining.check(samples)
        pairs = [0, 1, 0, 1], [0, 1, 1, 2]
        first = explaining.explain(samples, *pairs)
        assert max(cam.max() for cam in first) == 1
        again = imil_keras.KerasModel(net, layer="base").explain(
            samples, [0, 1, 0, 1], [0, 1, 1, 2]
        )
        for one, two in zip(first, again, strict=True):
            assert np.array_equal(one, two)


def test_a_softmax_and_its_logits_give_the_same_probabilities(keras, imil_keras):
    samples = make_samples(imil_keras)
    logits, softmax = make_net(keras), make_net(keras, last="softmax")
    softmax.set_weights(logits.get_weights())
    one, other = (imil_keras.KerasModel(net).predict(samples).probs for net in (logits, softmax))
    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(one.sum(axis=1), 1)


def with_imil(keras, imil_keras, ask, store, *, net=None, **how):
    samples = make_samples(imil_keras)
    callback = imil_keras.IMIL(samples, ask, store=store, imil_epoch=1, num_outliers=5, **how)
    return net or make_net(keras), samples, callback


def test_a_paused_round_goes_on_from_its_epoch(keras, imil_keras, tmp_path):
    store, shown = Store(tmp_path / "s"), []

    def two(cases):
        yield from contract.Fixed()(cases[:2])

    def rest(cases):
        shown.extend(case.number for case in cases)
        yield from contract.Fixed()(cases)

    net, samples, callback = with_imil(keras, imil_keras, two, store)
    with pytest.raises(RoundPaused, match="3 of 5"):
        net.fit(imil_keras.Batches(samples, 8), epochs=3, callbacks=[callback], verbose=0)
    net, samples, callback = with_imil(keras, imil_keras, rest, store)
    batches = imil_keras.Batches(samples, 8)
    net.fit(batches, epochs=2, initial_epoch=1, callbacks=[callback], verbose=0)
    assert shown == [3, 4, 5]
    assert sum(samples.corrected(i) is not None for i in range(contract.N)) == 5


def arrays(batches):
    images, labels = zip(*[batches[i] for i in range(len(batches))], strict=True)
    return np.concatenate(images), np.concatenate(labels)


def endless(batches):
    while True:
        yield from (batches[i] for i in range(len(batches)))


@pytest.mark.parametrize("kind", ["arrays", "generator", "workers", "steps"])
def test_data_that_cannot_change_in_time_is_refused(keras, imil_keras, tmp_path, kind):
    net, samples, callback = with_imil(keras, imil_keras, contract.nobody, tmp_path / "s")
    batches = imil_keras.Batches(samples, 8)
    how = {"epochs": 1, "callbacks": [callback], "verbose": 0, "shuffle": False}
    if kind == "arrays":
        x, y = arrays(batches)
        data, message = {"x": x, "y": y, "batch_size": 8}, "not arrays, a generator or a tf.data"
    elif kind == "generator":
        data = {"x": endless(batches), "steps_per_epoch": 3}
        message = "not arrays, a generator or a tf.data"
    elif kind == "steps":
        data, message = {"x": batches, "steps_per_epoch": 2}, "steps_per_epoch is 2, and an epoch"
    else:
        batches.workers = 2
        data, message = {"x": batches}, "drawn in 2 workers, ahead of a round"
    before = [np.array(value) for value in net.get_weights()]
    with pytest.raises(SettingsError, match=message):
        net.fit(**data, **how)
    for one, other in zip(before, net.get_weights(), strict=True):
        assert np.array_equal(one, other)  # before the first step


def test_models_and_settings_that_rounds_cannot_use_are_refused(keras, imil_keras, tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, images):
            return self.dense(keras.ops.mean(images, axis=(1, 2)))

    samples = make_samples(imil_keras)
    with pytest.raises(SettingsError, match="Own has no graph of layers and cannot be split"):
        imil_keras.KerasModel(Own()).check(samples)
    with pytest.raises(SettingsError, match=r"layer 'relu' of \w+ is unknown or gives no map"):
        imil_keras.KerasModel(make_net(keras), layer="relu").check(samples)
    odd = make_net(keras, last="tanh")
    with pytest.raises(SettingsError, match='give outputs="logits" or outputs="probabilities"'):
        imil_keras.KerasModel(odd).check(samples)
    imil_keras.KerasModel(odd, outputs="logits").check(samples)
    panel = ReaderPanel(fusion="soft")
    with pytest.raises(SettingsError, match="in Keras a square is black or it is not"):
        imil_keras.IMIL(samples, contract.nobody, store=tmp_path / "s", panel=panel)
    with pytest.raises(DataError, match="a transform alone is not enough"):
        imil_keras.CorrectedDataset(contract.Films(), transform=np.asarray)


def test_a_sample_that_is_taken_out_is_drawn_no_more(imil_keras):
    samples = make_samples(imil_keras)
    batches = imil_keras.Batches(samples, 8)
    samples.remove(3)
    batches.on_epoch_begin()
    drawn = [row for i in range(len(batches)) for row in batches._order[8 * i :][:8].tolist()]
    assert len(drawn) == contract.N
    assert set(drawn) == set(range(contract.N)) - {3}
