"""Treatments with settings of the round for themselves: plan, arms, schedule, and a small study."""

import numpy as np
import pandas as pd
import pytest
from processes import command
from safetensors.torch import load_file

from imil.data.table import read_data
from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.store import Store
from imil.study.jobs.schedule import Queue, entries
from imil.study.plan import make_plan, read_plan
from imil.study.study_folder import StudyFolder
from imil.training.samples.data_share import LEFT_OUT, use_share
from imil.training.samples.prepared_data import Prepared

LEAST = {
    "name": "A",
    "data": "films.csv",
    "arms": ["baseline", "imil"],
    "readers": [{"name": "A"}],
    "training": {"epochs": 20, "imil-epoch": 12},
}
FINE = {"name": "fine", "treatment": "imil", "grid-size": 8}
MANY = {"name": "many", "treatment": "imil", "num-outliers": 40, "controls": ["random", "inverted"]}
EARLY = {"name": "early", "treatment": "cover:fill=blur", "imil-epoch": 5}
TWICE = {"name": "twice", "treatment": "imil", "imil-epoch": [5, 12], "budget": 20}
HALF = {"name": "half", "treatment": "imil", "share-of-data": 0.5, "controls": ["reader-free"]}


def plan(tmp_path, *treatments, **more):
    return make_plan(LEAST | {"treatments": list(treatments)} | more, base=tmp_path)


def by_id(found):
    return {arm.id: arm for arm in found.rows}


def test_a_treatment_has_its_own_settings_of_the_round_and_all_else_of_the_plan(tmp_path):
    found = plan(tmp_path, FINE, MANY, EARLY, TWICE)
    settings = {name: found.settings(arm, 3) for name, arm in by_id(found).items()}
    common = settings["imil"].model_dump()
    changed = {
        name: {key for key, value in one.model_dump().items() if value != common[key]}
        for name, one in settings.items()
    }
    assert changed["fine"] == {"grid_size"}
    assert changed["many"] == {"num_outliers"}
    assert changed["many-random"] == {"num_outliers", "reader"}
    assert changed["early"] == {"imil_epoch", "treatment"}
    assert changed["twice"] == {"imil_epoch", "budget"}
    assert settings["fine"].grid_size == "8x8"
    assert settings["twice"].imil_epoch == (5, 12)
    assert str(settings["many-random"].reader) == "control:many-random"


def test_its_own_number_of_cases_takes_the_place_of_the_plans(tmp_path):
    budget = LEAST["training"] | {"budget": 30}
    found = by_id(plan(tmp_path, MANY, training=budget))
    settings = plan(tmp_path, MANY, training=budget).settings(found["many"], 0)
    assert (settings.num_outliers, settings.budget) == (40, "none")
    cases = LEAST["training"] | {"num-outliers": 7}
    settings = plan(tmp_path, TWICE, training=cases).settings(
        by_id(plan(tmp_path, TWICE, training=cases))["twice"], 0
    )
    assert settings.budget == 20


def test_each_continues_from_the_baseline_at_its_first_round_with_its_own_reader(tmp_path):
    found = plan(tmp_path, FINE, MANY, EARLY, TWICE, HALF)
    arms = by_id(found)
    forks = {name: (arm.trunk, found.fork_epoch(arm)) for name, arm in arms.items()}
    assert forks["imil"] == forks["fine"] == forks["many"] == ("baseline", 12)
    assert forks["early"] == forks["twice"] == ("baseline", 5)
    assert forks["half"] == ("baseline-share-0.5", 12)
    assert found.marks(arms["baseline"]) == (5, 12)
    assert found.marks(arms["baseline-share-0.5"]) == (12,)
    assert [name for name, arm in arms.items() if arm.asks_reader] == [
        "imil", "fine", "many", "early", "twice", "half",
    ]  # fmt: skip
    repeats = {name: arm.repeats for name, arm in arms.items() if arm.repeats}
    assert repeats == {
        "many-random": "many",
        "many-inverted": "many",
        "half-reader-free": "half",
    }


def test_jobs_wait_for_the_checkpoint_and_the_readings_that_they_need(tmp_path):
    found = plan(tmp_path, MANY, HALF)
    queue = Queue(entries(found, StudyFolder(tmp_path / "s")), ())
    first = queue.ready()
    assert [one.arm.id for one in first] == ["baseline", "baseline-share-0.5"]
    for one in first:
        queue.take(one)
        queue.end(one, "done")
    assert [one.arm.id for one in queue.ready()] == ["imil", "many", "half"]
    epochs = {one.arm.id: one.epochs for one in queue.entries}
    assert epochs["baseline-share-0.5"] == 20
    assert epochs["many-random"] == epochs["half-reader-free"] == 8


def test_an_arm_is_compared_with_the_baseline_of_the_same_images(tmp_path):
    references = {name: arm.reference for name, arm in by_id(plan(tmp_path, FINE, HALF)).items()}
    assert references == {
        "baseline": "",
        "imil": "baseline",
        "baseline-share-0.5": "baseline",
        "fine": "baseline",
        "half": "baseline-share-0.5",
        "half-reader-free": "baseline-share-0.5",
    }


def test_two_treatments_of_a_share_have_one_baseline(tmp_path):
    names = list(by_id(plan(tmp_path, HALF, HALF | {"name": "half-too", "grid-size": 2})))
    assert names.count("baseline-share-0.5") == 1


def test_an_arm_whose_cases_need_every_epoch_before_them_trains_from_the_start(tmp_path):
    training = LEAST["training"] | {"choice": "moving_average"}
    found = plan(tmp_path, EARLY, FINE, training=training)
    arms = by_id(found)
    assert (found.fork_epoch(arms["early"]), found.fork_epoch(arms["fine"])) == (0, 12)
    assert found.marks(arms["baseline"]) == (12,)


def test_squares_drawn_anew_are_an_option_of_the_treatment(tmp_path):
    cover = {"name": "blur", "treatment": "cover:fill=blur", "controls": ["reader-free"]}
    found = plan(tmp_path, cover)
    free = by_id(found)["blur-reader-free"]
    settings = found.settings(free, 0)
    assert settings.treatment == "cover:fill=blur,squares=random"
    assert (free.repeats, free.title) == ("imil", "Control: blur, without a reader")


def test_a_field_of_view_without_a_reader_counts_every_square_as_irrelevant(tmp_path):
    best = {"name": "best", "controls": ["reader-free"]}
    found = plan(tmp_path, best)
    assert found.settings(by_id(found)["best-reader-free"], 0).treatment == "best:squares=all"
    with pytest.raises(SettingsError, match="squares=all contradicts reliance=0"):
        plan(tmp_path, best | {"treatment": "field-of-view:reliance=0"})


def test_a_plan_with_these_reads_as_it_was_written(tmp_path):
    found = plan(tmp_path, FINE, TWICE, HALF, seeds=[0, 1], screening={"seeds": [1]})
    found.write(tmp_path / "plan.toml")
    assert read_plan(tmp_path / "plan.toml") == found


@pytest.mark.parametrize(
    ("treatments", "more", "says"),
    [
        ([MANY | {"budget": 20}], {}, "'many' has num-outliers and budget, which contradict"),
        ([MANY | {"num-outliers": 0}], {}, "'many' cannot be used: --num-outliers is 0"),
        ([FINE | {"grid-size": "4by4"}], {}, "the treatment 'fine' cannot be used: "),
        ([FINE | {"grid-size": 999}], {}, "the treatment 'fine' cannot be used: "),
        ([EARLY | {"imil-epoch": 20}], {}, "'early' has imil-epoch 20, which is not before the"),
        ([EARLY | {"imil-epoch": []}], {}, "'early' cannot be used: imil_epoch is empty"),
        ([TWICE | {"budget": 1}], {}, "'twice' cannot be used: a budget of 1 cases does not"),
        (
            [TWICE | {"controls": ["random"]}],
            {},
            "the treatment 'twice-random' has the same cases as twice in the first round only",
        ),
        ([HALF | {"share-of-data": 0}], {}, "treatments.0.share_of_data is 0: input should be"),
        (
            [HALF | {"controls": [], "without_shortcut": True}],
            {"arms": ["baseline", "imil", "no-shortcut"], "shortcut": {}},
            "has without_shortcut and share-of-data 0.5",
        ),
        ([FINE], {"arms": ["baseline"], "readers": []}, "'fine' has a round of its own: add a"),
        (
            [FINE],
            {"readers": [{"name": "A", "reader": "replay:a.csv"}]},
            "the treatment 'fine' has the grid 8x8, but its reader replays",
        ),
        (
            [{"name": "up-weight", "controls": ["reader-free"]}],
            {},
            "the treatment 'up-weight' has no form without a reader: only imil, cover",
        ),
        ([FINE, FINE | {"grid_size": 3}], {}, "[[treatments]] contains 'grid_size' twice"),
    ],
)
def test_contradictions_are_refused_in_one_sentence(tmp_path, treatments, more, says):
    with pytest.raises(SettingsError) as caught:
        plan(tmp_path, *treatments, **more)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_round_of_its_own_needs_no_arm_imil(tmp_path):
    assert list(by_id(plan(tmp_path, FINE, arms=["baseline"]))) == ["baseline", "fine"]


# ------------------------------------------------------------------------- the images of a share


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps")
    write_phantoms(folder / "films", n=80, size=48, seed=3)
    return folder


def prepared(films, patients=None):
    table = read_data(films / "films" / "manifest.csv")
    if patients is not None:
        table = type(table)(**(vars(table) | {"patients": patients}))
    split_of = ["test" if i % 4 == 0 else "train" for i in range(len(table))]
    return Prepared(table, np.zeros((len(table), 4, 4), np.uint8), tuple(split_of), ())


def test_a_share_is_drawn_by_the_seed_in_each_class_and_test_images_stay(films):
    data = prepared(films)
    half = use_share(data, share=0.5, seed=1)
    assert half.rows("test").tolist() == data.rows("test").tolist()
    assert set(half.rows("train")) < set(data.rows("train"))
    for label in (0, 1):
        drawn, every = (
            int((one.table.labels[one.rows("train")] == label).sum()) for one in (half, data)
        )
        assert abs(drawn - every / 2) < 1
    assert half.split_of == use_share(data, share=0.5, seed=1).split_of
    assert half.split_of != use_share(data, share=0.5, seed=2).split_of
    assert use_share(data, share=1.0, seed=1) is data


def test_a_patient_is_in_a_share_with_all_images_or_none(films):
    patients = tuple(f"P{i // 5}" for i in range(80))
    half = use_share(prepared(films, patients), share=0.5, seed=0)
    where = {}
    for patient, of in zip(patients, half.split_of, strict=True):
        if of != "test":
            where.setdefault(patient, set()).add(of)
    assert all(len(one) == 1 for one in where.values())
    assert {LEFT_OUT, "train"} == set().union(*where.values())


# ------------------------------------------------------------------------------------ a small run

RUN = """
name = "sweeps"
data = "films/manifest.csv"
arms = ["baseline", "imil"]
seeds = [0, 1]

[screening]
seeds = [0]

[training]
model = "test_resnet"
image-size = 32
epochs = 4
batch-size = 16
optimizer = "adamw"
lr = 0.01
imil-epoch = 2
num-outliers = 4

[[readers]]
name = "A"

[[treatments]]
name = "fine"
treatment = "cover"
grid-size = 6
num-outliers = 7
controls = ["random", "reader-free"]

[[treatments]]
name = "early"
treatment = "imil"
imil-epoch = [1, 3]
budget = 6

[[treatments]]
name = "half"
treatment = "imil"
share-of-data = 0.5
"""
ARMS = ["baseline", "imil", "baseline-share-0.5", "fine", "fine-random", "fine-reader-free"]
ARMS += ["early", "half"]


@pytest.fixture(scope="module")
def study(films):
    (films / "plan.toml").write_text(RUN)
    words = ["study", "run", "plan.toml", "--out", "study", "--threads", "1", "--cache", "cache"]
    said = command(words, films)
    assert said.returncode == 0, said.stdout + said.stderr
    return StudyFolder(films / "study")


def rounds(folder, arm, seed=0):
    """Epoch, grid and readings by sample of each round of a job."""
    store = Store(folder.job(arm, seed, 0).run.store, readonly=True)
    found = []
    for held in store.rounds():
        cases, standing = store.cases(held.id), store.current_readings(held.id)
        found.append((held.epoch, held.settings.grid.rows, {c.key: standing[c.id] for c in cases}))
    store.close()
    return found


def train_keys(folder, arm):
    return set(folder.job(arm, 0, 0).predictions("train").keys)


@pytest.mark.slow
def test_every_arm_of_a_sweep_holds_the_rounds_that_it_says(study):
    assert [arm.id for arm in read_plan(study.plan).rows] == ARMS
    assert all(study.job(arm, seed, 0).state == "done" for arm in ARMS for seed in (0, 1))
    ((epoch, grid, cases),) = rounds(study, "fine")
    assert (epoch, grid, len(cases)) == (2, 6, 7)
    assert [one[0] for one in rounds(study, "early")] == [1, 3]
    assert len(rounds(study, "early")[0][2]) == 3
    before = study.job("early", 0, 0).predictions(when="epoch-001").probs
    assert (before == study.job("baseline", 0, 0).predictions(when="epoch-001").probs).all()


@pytest.mark.slow
def test_controls_of_a_sweep_repeat_the_cases_of_their_own_arm(study):
    ((_, _, own),) = rounds(study, "fine")
    for control in ("random", "reader-free"):
        ((_, grid, cases),) = rounds(study, f"fine-{control}")
        assert (grid, list(cases)) == (6, list(own))
        for key, reading in own.items():
            assert len(cases[key].squares) == len(reading.squares)
    weights = [load_file(study.job(arm, 0, 0).run.weights) for arm in ("fine", "fine-reader-free")]
    assert any((weights[0][name] != weights[1][name]).any() for name in weights[0])


@pytest.mark.slow
def test_a_share_trains_on_the_same_images_as_its_baseline_and_is_compared_with_it(study):
    every, half = train_keys(study, "baseline"), train_keys(study, "half")
    assert half == train_keys(study, "baseline-share-0.5") < every
    assert len(half) == len(every) // 2
    table = pd.read_csv(study.path / "table.csv", keep_default_na=False).set_index(
        ["arm", "set", "subgroup", "measure"]
    )
    row = table.loc[("half", "test", "", "accuracy")]
    means = table.xs(("test", "", "accuracy"), level=("set", "subgroup", "measure"))["mean"]
    assert row["reference"] == "baseline-share-0.5"
    means = means.astype(float)
    assert float(row["diff"]) == pytest.approx(means["half"] - means["baseline-share-0.5"])
    assert "half is compared with the baseline with 0.5" in study.report.read_text("utf-8")


@pytest.mark.slow
def test_the_screening_chooses_by_its_seeds_and_the_others_confirm(study):
    (row,) = pd.read_csv(study.path / "confirmation.csv").to_dict("records")
    units = pd.read_csv(study.path / "units.csv").query("set == 'test' and measure == 'auroc'")
    diff = units.set_index(["arm", "seed"])["diff"]
    first = {arm: diff[arm, 0] for arm in ("imil", "fine", "early")}
    assert row["arm"] == max(first, key=first.get)
    assert row["screening_diff"] == pytest.approx(first[row["arm"]])
    assert row["diff"] == pytest.approx(diff[row["arm"], 1])
    assert (row["candidates"], row["screening_seeds"], row["seeds"]) == (3, 1, 1)
    assert "Screening and confirmation" in study.report.read_text("utf-8")


@pytest.mark.slow
def test_another_share_or_screening_of_a_study_that_was_begun_is_refused(films, study):
    for old, new, says in (
        ("share-of-data = 0.5", "share-of-data = 0.75", "'half' has share-of-data 0.5 in"),
        ("[screening]\nseeds = [0]", "[screening]\nseeds = [1]", "with another 'screening'"),
    ):
        (films / "other.toml").write_text(RUN.replace(old, new))
        said = command(["study", "run", "other.toml", "--out", "study"], films)
        assert said.returncode == 2
        assert says in said.stderr
