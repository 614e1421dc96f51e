"""What is found before the first job starts: overlaps, subgroups, readings, splits, changes."""

import hashlib
import json
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from reader_contract import make_case

from imil.cases import Reading, RoundSettings
from imil.data.splits import read_splits, split
from imil.data.table import read_data
from imil.errors import DataError, ImilError, SettingsError
from imil.store import Store
from imil.study.checks.preflight import prepare
from imil.study.plan import make_plan
from imil.study.study_folder import StudyFolder

SIDE = 40
N = 20


def picture(number, side=SIDE):
    """Smooth blobs that no other number has."""
    rough = np.random.default_rng(number).integers(0, 256, (8, 8)).astype(np.uint8)
    return PIL.Image.fromarray(rough).resize((side, side), PIL.Image.Resampling.BICUBIC)


def films(folder, rows=None, name="films.csv", extra=None):
    """A table of N films in two classes, and whatever columns are given."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(N) if rows is None else rows
    for number in numbers:
        if not (folder / f"{number}.png").exists():
            picture(number).save(folder / f"{number}.png")
    table = pd.DataFrame(
        {
            "image": [f"{number}.png" for number in numbers],
            "label": [number % 2 for number in numbers],
            "class_name": ["TB" if number % 2 else "normal" for number in numbers],
        }
        | (extra or {})
    )
    table.to_csv(folder / name, index=False)
    return folder / name


def halves(column="split", order=("train", "test")):
    """The first half to train on, the second to test on; or in the other order."""
    return {column: [name for name in order for _ in range(N // 2)]}


@pytest.fixture
def study(tmp_path):
    """Prepares a study of the table, always in the same folder; keeps its messages."""

    class Study:
        folder = StudyFolder(tmp_path / "study")
        messages: list[str] = []  # noqa: RUF012

        def plan(self, data, **more):
            training = {"model": "test_resnet", "image_size": 32, "batch_size": 4}
            values = {"name": "A study", "data": str(data), "arms": ["baseline"]}
            training |= more.pop("training", {})
            return make_plan(values | {"training": training} | more, base=tmp_path)

        def prepare(self, data, **more):
            self.messages = []
            plan = self.plan(data, **more)
            return prepare(plan, self.folder, self.messages.append, cache=tmp_path / "cache")

        def refuses(self, data, error=ImilError, **more):
            with pytest.raises(error) as caught:
                self.prepare(data, **more)
            assert "\n" not in str(caught.value)
            return str(caught.value)

    return Study()


def files(folder):
    return {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}


# --- what is written ----------------------------------------------------------------------


def test_images_and_their_fingerprint_are_recorded(tmp_path, study):
    sexes = ["F", "M", "NA", ""] * (N // 4)
    data = films(tmp_path / "a", extra={"sex": sexes, "patient": [f"P{i}" for i in range(N)]})
    films(tmp_path / "b", rows=[100, 101])
    facts = study.prepare(
        data, subgroups=["sex"], external={"else": {"data": str(tmp_path / "b/films.csv")}}
    )
    images = pd.read_parquet(study.folder.images)
    columns = ["key", "set", "label", "class_name", "content", "mask_content", "patient", "sex"]
    assert list(images) == columns
    assert images["set"].tolist() == ["data"] * N + ["external-else"] * 2
    assert images["sex"].tolist() == ["F", "M", "", ""] * (N // 4) + ["", ""]
    assert images["patient"].tolist() == [f"P{i}" for i in range(N)] + ["", ""]
    third = images.iloc[3]
    assert (third["key"], third["label"], third["class_name"]) == ("3.png", 1, "TB")
    bytes_of = {("data", f"{i}.png", i): tmp_path / "a" / f"{i}.png" for i in range(N)}
    bytes_of |= {("external-else", f"{i}.png", i): tmp_path / "b" / f"{i}.png" for i in (100, 101)}
    lines = sorted(
        json.dumps([of, key, str(i % 2), hashlib.sha256(path.read_bytes()).hexdigest()])
        for (of, key, i), path in bytes_of.items()
    )
    assert facts.fingerprint == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert facts.classes == ("normal", "TB")
    assert facts.images == {"data": N, "external-else": 2}
    assert study.folder.read_facts() == json.loads(json.dumps(asdict(facts)))
    assert {"python", "torch", "imil", "pandas"} <= set(facts.versions)


def test_splits_are_drawn_as_by_a_training_with_consecutive_seeds(tmp_path, study):
    data = films(tmp_path / "a")
    study.prepare(data, splits={"count": 3, "seed": 5, "test_share": 0.3})
    table = read_data(data)
    written = [read_splits(study.folder.splits(number), table) for number in range(3)]
    assert written == [split(table, test=0.3, seed=seed) for seed in (5, 6, 7)]
    assert len(set(written)) == 3
    assert not study.folder.splits(3).exists()


def test_preparing_again_writes_the_same(tmp_path, study):
    data = films(tmp_path / "a")
    first = study.prepare(data, splits={"count": 2})
    before = files(study.folder)
    assert study.prepare(data, splits={"count": 2}) == first
    assert files(study.folder) == before


def test_a_study_may_grow_by_splits_subgroups_and_external_sets(tmp_path, study):
    data = films(tmp_path / "a", extra={"sex": ["F", "M"] * (N // 2)})
    first = study.prepare(data)
    before = study.folder.splits(0).read_bytes()
    films(tmp_path / "b", rows=[100, 101])
    grown = study.prepare(
        data,
        splits={"count": 2},
        subgroups=["sex"],
        external={"else": {"data": str(tmp_path / "b/films.csv")}},
    )
    assert study.folder.splits(0).read_bytes() == before
    assert study.folder.splits(1).exists()
    assert grown.created == first.created
    assert grown.fingerprint != first.fingerprint
    assert pd.read_parquet(study.folder.images)["sex"][:2].tolist() == ["F", "M"]


def test_a_split_of_a_study_that_was_not_started_is_drawn_again(tmp_path, study):
    data = films(tmp_path / "a")
    study.prepare(data, splits={"seed": 1})
    study.folder.facts.unlink()  # killed before it was written
    study.prepare(data, splits={"seed": 2})
    table = read_data(data)
    assert read_splits(study.folder.splits(0), table) == split(table, seed=2)


def test_checks_leave_the_random_states_unchanged(tmp_path, study):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    study.prepare(films(tmp_path / "a"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


# --- the same image twice -----------------------------------------------------------------


def copy(folder, number, to):
    (folder / f"{to}.png").write_bytes((folder / f"{number}.png").read_bytes())


def test_the_same_image_in_training_and_test_is_an_error_that_names_both(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    copy(tmp_path / "a", 2, 12)
    message = study.refuses(data, DataError)
    assert "'2.png' and '12.png', in the training and the test set of split 0" in message
    assert not study.folder.facts.exists()


def test_an_overlap_is_found_where_the_test_images_come_first_too(tmp_path, study):
    data = films(tmp_path / "a", extra=halves(order=("test", "train")))
    copy(tmp_path / "a", 2, 12)
    message = study.refuses(data, DataError)
    assert "'12.png' and '2.png', in the training and the test set of split 0" in message
    resave(tmp_path / "a", 2, 12)
    (warning,) = study.prepare(data).warnings
    assert warning.startswith("1 pair of images is nearly identical")


def test_the_same_image_is_found_in_a_later_split_too(tmp_path, study):
    data = films(tmp_path / "a")
    table = read_data(data)
    draws = [split(table, seed=seed) for seed in range(4)]
    first = next(  # two images that only the last of the splits parts
        (i, j)
        for i in range(0, N, 2)
        for j in range(i + 2, N, 2)
        if [one[i] != one[j] for one in draws] == [False, False, False, True]
    )
    copy(tmp_path / "a", *first)
    assert "split 3" in study.refuses(data, DataError, splits={"count": 4})
    study.prepare(data, splits={"count": 3})


def test_the_same_image_on_one_side_is_a_warning(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    copy(tmp_path / "a", 2, 4)
    copy(tmp_path / "a", 11, 13)
    warnings = study.prepare(data).warnings
    assert warnings[0].startswith("2 images occur more than once")
    assert "'2.png' and '4.png'" in warnings[0]
    assert study.messages[-1:] == [f"Note: {warning}." for warning in warnings]


def test_the_same_image_with_two_labels_is_an_error_that_names_both(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    copy(tmp_path / "a", 11, 12)
    message = study.refuses(data, DataError)
    assert "two labels under two names ('11.png' is TB and '12.png' is normal)" in message


def test_images_of_one_patient_may_be_the_same(tmp_path, study):
    people = [f"P{0 if i == 2 else i}" for i in range(N)]
    data = films(tmp_path / "a", extra={"patient": people})
    copy(tmp_path / "a", 0, 2)
    warnings = study.prepare(data, splits={"count": 20}).warnings
    assert [warning[:24] for warning in warnings] == ["1 image occurs more than"]


def test_the_same_image_in_the_data_and_an_external_set_is_an_error(tmp_path, study):
    data = films(tmp_path / "a")
    films(tmp_path / "b", rows=[7, 100])
    message = study.refuses(
        data, DataError, external={"b": {"data": str(tmp_path / "b/films.csv")}}
    )
    assert "'7.png' and '7.png' of external-b, in the data and an external set" in message


# --- almost the same ----------------------------------------------------------------------


def resave(folder, number, to):
    """A copy with other bytes, a little brighter and larger."""
    brighter = np.clip(np.asarray(picture(number, 64)) * 1.05 + 3, 0, 255).astype(np.uint8)
    PIL.Image.fromarray(brighter).save(folder / f"{to}.png")


def test_a_resaved_film_is_a_warning_that_names_both(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    resave(tmp_path / "a", 2, 12)
    (warning,) = study.prepare(data).warnings
    assert warning.startswith("1 pair of images is nearly identical")
    assert "'2.png' and '12.png'" in warning


def test_a_resaved_film_in_the_same_split_is_ignored(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    resave(tmp_path / "a", 2, 4)
    assert study.prepare(data).warnings == ()


def test_a_resaved_film_in_an_external_set_is_a_warning(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    films(tmp_path / "b", rows=[100, 101, 103])
    resave(tmp_path / "b", 12, 100)
    resave(tmp_path / "b", 101, 103)  # external sets are not trained on: no matter
    external = {"b": {"data": str(tmp_path / "b/films.csv")}}
    (warning,) = study.prepare(data, external=external).warnings
    assert "'12.png' and '100.png' of external-b" in warning


def test_near_duplicates_are_found_at_small_training_sizes_too(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    resave(tmp_path / "a", 2, 12)
    (warning,) = study.prepare(data, training={"image_size": 16}).warnings
    assert "1 pair of images" in warning


@pytest.mark.slow
def test_no_two_films_of_the_real_set_are_near_duplicates(study, shenzhen):
    data = shenzhen / "manifest.csv"
    for size in (32, 64, 112, 224):
        facts = study.prepare(data, training={"image_size": size}, splits={"count": 20})
        assert facts.warnings == ()


# --- external sets and subgroups ----------------------------------------------------------


def test_an_external_set_with_other_classes_is_an_error(tmp_path, study):
    data = films(tmp_path / "a")
    films(tmp_path / "b", rows=[100, 101], extra={"class_name": ["normal", "nodule"]})
    message = study.refuses(
        data, DataError, external={"b": {"data": str(tmp_path / "b/films.csv")}}
    )
    expected = "the external set 'b' cannot be used: unknown class 'nodule', expected"
    assert message.startswith(expected)


def test_classes_of_an_external_set_are_matched_by_name(tmp_path, study):
    data = films(tmp_path / "a")
    names = {"label": [0, 1], "class_name": ["TB", "normal"]}
    films(tmp_path / "b", rows=[100, 101], extra=names)
    study.prepare(data, external={"b": {"data": str(tmp_path / "b/films.csv")}})
    images = pd.read_parquet(study.folder.images)[-2:]
    assert images["label"].tolist() == [1, 0]
    assert images["class_name"].tolist() == ["TB", "normal"]


def test_an_external_set_without_one_of_the_classes_is_a_warning(tmp_path, study):
    names = [("normal", "TB", "nodule")[i % 3] for i in range(N)]
    data = films(tmp_path / "a", extra={"label": names, "class_name": names})
    names = {"label": ["nodule", "TB"], "class_name": ["nodule", "TB"]}
    films(tmp_path / "b", rows=[100, 101], extra=names)
    external = {"b": {"data": str(tmp_path / "b/films.csv")}}
    (warning,) = study.prepare(data, external=external).warnings
    assert warning.startswith("external-b has no image of the class 'normal'")
    images = pd.read_parquet(study.folder.images)  # TB, nodule, normal: sorted by name
    assert images["label"][-2:].tolist() == [1, 0]


def test_an_unknown_subgroup_column_is_an_error_that_lists_the_columns(tmp_path, study):
    message = study.refuses(films(tmp_path / "a"), SettingsError, subgroups=["sexe"])
    assert "no column 'sexe' for subgroups, but image, label, class_name" in message


@pytest.mark.parametrize("column", ["set", "label", "content"])
def test_a_subgroup_may_not_have_the_name_of_a_column_of_the_study(tmp_path, study, column):
    data = films(tmp_path / "a", extra={column: ["0", "1"] * (N // 2)})
    assert f"'{column}' cannot name" in study.refuses(data, SettingsError, subgroups=[column])


def test_the_versions_are_those_that_the_study_was_begun_with(tmp_path, study):
    data = films(tmp_path / "a")
    first = study.prepare(data).versions
    facts = json.loads(study.folder.facts.read_text())
    facts["versions"]["torch"] = "1.0"
    study.folder.facts.write_text(json.dumps(facts))
    now = study.prepare(data)
    assert now.versions == first | {"torch": "1.0"}
    assert now.warnings == (
        f"the study was begun with other versions (torch 1.0, later {first['torch']})",
    )


def test_other_versions_of_an_earlier_session_stay_in_the_warnings(tmp_path, study):
    data = films(tmp_path / "a")
    now = study.prepare(data).versions["torch"]
    facts = json.loads(study.folder.facts.read_text())
    old = "the study was begun with other versions (torch 1.0, now 2.0)"  # the first form
    for first, recorded in (("1.0", [old]), (now, None)):
        facts["versions"]["torch"] = first
        facts["warnings"] = facts["warnings"] if recorded is None else recorded
        study.folder.facts.write_text(json.dumps(facts))
        warnings = study.prepare(data).warnings
        assert warnings[0] == old.replace("now", "later")
        assert len(warnings) == 1 + (first != now)
        assert study.prepare(data).warnings == warnings


def test_a_folder_has_no_subgroups(tmp_path, study):
    for name in ("a", "b"):
        (tmp_path / "films" / name).mkdir(parents=True)
        picture(3).save(tmp_path / "films" / name / "x.png")
    message = study.refuses(tmp_path / "films", SettingsError, subgroups=["sex"])
    assert "it is a folder: give a table" in message


def test_a_column_of_measurements_is_refused_as_a_subgroup(tmp_path, study):
    data = films(tmp_path / "a", rows=range(24), extra={"age": range(24)})
    message = study.refuses(data, SettingsError, subgroups=["age"])
    assert "'age'" in message
    assert "24 different values" in message


def test_a_subgroup_column_may_have_twenty_values(tmp_path, study):
    ages = [*range(20), "", "", "", ""]  # an unknown age is not a group
    data = films(tmp_path / "a", rows=range(24), extra={"age": ages})
    study.prepare(data, subgroups=["age"])
    more = films(tmp_path / "a", rows=range(24), name="b.csv", extra={"age": [*ages[:-1], 20]})
    assert "21 different values" in study.refuses(more, SettingsError, subgroups=["age"])


# --- images that cannot be used -----------------------------------------------------------


def test_an_unreadable_image_is_found_before_the_first_job(tmp_path, study):
    data = films(tmp_path / "a")
    (tmp_path / "a/5.png").write_bytes(b"no image")
    assert "1 of 20 images cannot be read" in study.refuses(data, DataError)


def test_unreadable_images_are_named_and_the_others_stay_aligned(tmp_path, study):
    data = films(tmp_path / "a", extra={"site": [f"s{i % 7}" for i in range(N)]})
    (tmp_path / "a/5.png").write_bytes(b"no image")
    facts = study.prepare(data, subgroups=["site"], training={"skip_bad": True})
    assert facts.images == {"data": N - 1}
    assert len(facts.warnings) == 1
    assert facts.warnings[0].startswith("data: '5.png' is left out")
    images = pd.read_parquet(study.folder.images).set_index("key")
    assert "5.png" not in images.index
    assert images["site"].to_dict() == {f"{i}.png": f"s{i % 7}" for i in range(N) if i != 5}


# --- splits, training ---------------------------------------------------------------------


def test_a_split_that_is_not_possible_is_an_error(tmp_path, study):
    data = films(tmp_path / "a", rows=[*range(0, 12, 2), 1])  # one image of TB
    assert "no image of the class 'TB'" in study.refuses(data, DataError)


def test_a_table_with_a_split_column_allows_one_split(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    message = study.refuses(data, SettingsError, splits={"count": 2})
    assert "the plan asks for 2 splits" in message


def test_fewer_training_images_than_a_batch_are_an_error(tmp_path, study):
    message = study.refuses(films(tmp_path / "a"), SettingsError, training={"batch_size": 17})
    assert message.startswith("16 training images are fewer than a batch of 17")


def test_the_smallest_of_all_splits_must_fill_a_batch(tmp_path, study):
    data = films(tmp_path / "a")
    study.prepare(data, splits={"count": 2})
    drawn = pd.read_csv(study.folder.splits(1))  # what is drawn is kept, so here it can be altered
    drawn.loc[drawn.index[drawn["split"] == "train"][:3], "split"] = "val"
    drawn.to_csv(study.folder.splits(1), index=False)
    more = {"splits": {"count": 2}, "training": {"batch_size": 16}}
    message = study.refuses(data, SettingsError, **more)
    assert message.startswith("13 training images are fewer than a batch of 16")


def test_a_choice_of_cases_that_the_data_do_not_allow_is_an_error(tmp_path, study):
    data, training = films(tmp_path / "a"), {"training": {"choice": "off_lung"}}
    study.prepare(data, **training)  # no arm has a round
    reader = {"name": "r", "reader": "console"}
    more = training | {"arms": ["baseline", "imil"], "readers": [reader]}
    message = study.refuses(data, SettingsError, **more)
    assert message.startswith("--choice off_lung needs lung masks, and no training image has one")


def test_an_unknown_network_is_an_error(tmp_path, study):
    message = study.refuses(films(tmp_path / "a"), SettingsError, training={"model": "resnet81"})
    assert "'resnet81'" in message


# --- readers ------------------------------------------------------------------------------


def readings(path, *rows):
    path.write_text("key,epoch,squares,squares_before\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def replaying(path, **more):
    readers = [{"name": "Lee", "reader": f"replay:{path}"}]
    training = {"epochs": 10, "imil_epoch": 7}
    return {"arms": ["baseline", "imil"], "readers": readers, "training": training} | more


def test_readings_of_the_studys_images_are_accepted(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    path = readings(tmp_path / "r.csv", "0.png,7,1-4", "12.png,,16", "3.png,9,all")
    assert study.prepare(data, **replaying(path)).warnings == ()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["0.png,,1", "x.png,,1", "y.png,,2"], "2 readings of images that are not in the data"),
        (["0.png,6,1", "1.png,9,1"], "no reading for the round after epoch 7, only after 6, 9"),
        (["0.png,7,17"], "squares {17} lie outside a 4×4 grid"),
        (["0.png,7,1", "1.png,7,2,17"], "r.csv, row 3: squares {17} lie outside a 4×4 grid"),
    ],
    ids=["other images", "other rounds", "another grid", "another grid before"],
)
def test_readings_that_cannot_be_used_are_an_error(tmp_path, study, rows, says):
    data = films(tmp_path / "a")
    message = study.refuses(data, SettingsError, **replaying(readings(tmp_path / "r.csv", *rows)))
    assert message.startswith("the reader 'Lee' cannot answer: ")
    assert says in message


def test_readings_of_test_images_alone_are_a_warning(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    path = readings(tmp_path / "r.csv", "10.png,,1", "11.png,,1")
    (warning,) = study.prepare(data, **replaying(path)).warnings
    assert warning.startswith("no image that 'Lee' has read is in the training set of split 0")


def test_readers_who_give_the_same_answers_are_a_warning(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    files = {
        "Lee": readings(tmp_path / "lee.csv", "0.png,,1-4"),
        "Kim": readings(tmp_path / "kim.csv", "0.png,,1-4"),
        "Rao": readings(tmp_path / "rao.csv", "0.png,,1-5"),
    }
    more = replaying("")
    more["readers"] = [{"name": name, "reader": f"replay:{f}"} for name, f in files.items()]
    (warning,) = study.prepare(data, **more).warnings
    assert warning.startswith("'Lee' and 'Kim' replay the same answers")


@pytest.mark.parametrize(
    ("key", "epoch", "says"),
    [("3.png", 7, ""), ("x.png", 7, "'x.png' the first"), ("3.png", 6, "only after 6")],
    ids=["fits", "other image", "other round"],
)
def test_a_run_that_was_read_before_is_checked_too(tmp_path, study, key, epoch, says):
    run = tmp_path / "old"
    run.mkdir()
    store = Store(run / "imil.sqlite")
    store.add_run("old", class_names=["normal", "TB"], settings={}, versions={})
    store.open_round("old", epoch, RoundSettings(), [make_case(key=key, run="old", epoch=epoch)])
    store.add(Reading(f"old@{epoch}#1", "anna", "focus", (2, 3)))
    store.close()
    data = films(tmp_path / "a", extra=halves())
    if says:
        assert says in study.refuses(data, SettingsError, **replaying(run))
    else:
        assert study.prepare(data, **replaying(run)).warnings == ()


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        ("replay:nowhere.csv", "there are no readings at"),
        ("simulated", "the data has none"),
        ("simulated:luck=2", "invalid option 'luck=2'"),
        ("somebody", "give console, web, notebook, simulated"),
        ("none", "reader is none: name one"),
        ("web:8000", "'web:8000': give console, web, notebook, simulated"),
        ("console:x", "'console:x': give console, web, notebook, simulated"),
    ],
)
def test_a_reader_who_cannot_answer_is_refused_before_the_first_job(tmp_path, study, reader, says):
    readers = [{"name": "Lee", "reader": reader}]
    message = study.refuses(
        films(tmp_path / "a"), SettingsError, arms=["baseline", "imil"], readers=readers
    )
    assert message.startswith("the reader 'Lee' cannot answer: ")
    assert says in message


def two_readers(folder):
    """A run in whose round anna read an image, and ben one that is not in the data."""
    folder.mkdir()
    store = Store(folder / "imil.sqlite")
    store.add_run("old", class_names=["normal", "TB"], settings={}, versions={})
    cases = [make_case(i, key=key, run="old", epoch=7) for i, key in ((1, "0.png"), (2, "x.png"))]
    store.open_round("old", 7, RoundSettings(), cases)
    store.add(Reading("old@7#1", "anna", "focus", (2, 3)))
    store.add(Reading("old@7#2", "ben", "focus", (5,)))
    store.close()
    return folder


@pytest.mark.parametrize(
    ("name", "says"),
    [("anna", ""), ("ben", "'x.png' the first"), ("Lee", "has readings of anna, ben")],
)
def test_a_round_with_two_readers_needs_the_name_of_one(tmp_path, study, name, says):
    data = films(tmp_path / "a", extra=halves())
    more = replaying(two_readers(tmp_path / "old"))
    more["readers"][0]["name"] = name
    if says:
        assert says in study.refuses(data, SettingsError, **more)
    else:
        assert study.prepare(data, **more).warnings == ()


@pytest.mark.parametrize("otherwise", [False, True])
def test_a_page_that_cannot_be_served_is_refused_before_the_first_job(
    tmp_path, study, monkeypatch, otherwise
):
    monkeypatch.setitem(
        sys.modules, "imil.web.child_server", None
    )  # as where it cannot be imported
    data = films(tmp_path / "a", extra=halves())
    reader = {"name": "Lee", "reader": "web"}
    if otherwise:
        path = readings(tmp_path / "r.csv", "0.png,7,1-4")
        reader = {"name": "Lee", "reader": f"replay:{path}", "otherwise": "web"}
    message = study.refuses(data, SettingsError, **replaying("") | {"readers": [reader]})
    assert message.startswith("the reader 'Lee' cannot answer: ")
    assert "pip install 'imil[web]'" in message


# --- data that change while a study runs --------------------------------------------------


def rewritten(folder):
    picture(77).save(folder / "4.png")
    return films(folder)


def relabelled(folder):
    table = pd.read_csv(folder / "films.csv")
    table.loc[4, ["label", "class_name"]] = [1, "TB"]
    table.to_csv(folder / "films.csv", index=False)
    return folder / "films.csv"


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (rewritten, "4.png"),
        (relabelled, "4.png"),
        (lambda folder: films(folder, rows=range(N - 1)), "19.png"),
        (lambda folder: films(folder, rows=range(N + 1)), "20.png"),
    ],
    ids=["rewritten", "relabelled", "gone", "new"],
)
def test_changed_data_are_refused_and_nothing_is_written(tmp_path, study, change, first):
    study.prepare(films(tmp_path / "a"))
    before = files(study.folder)
    message = study.refuses(change(tmp_path / "a"), DataError)
    assert message.startswith("the data have changed since")
    assert (
        f"1 images were added, removed, relabelled or rewritten, or have other masks, '{first}'"
        in message
    )
    assert files(study.folder) == before


def test_a_new_set_under_a_former_name_is_predicted_again(tmp_path, study):
    data = films(tmp_path / "a")
    for place, rows in (("b", (100, 101)), ("c", (102, 103))):
        films(tmp_path / place, rows=rows)
    b, c = ({"m": {"data": str(tmp_path / place / "films.csv")}} for place in "bc")

    def predicted(arm):
        return study.folder.job(arm, 0, 0).run.predictions("end", "external-m")

    study.prepare(data, external=b)
    for arm in ("baseline", "mixup"):  # the second is no longer in the plan
        predicted(arm).parent.mkdir(parents=True)
        predicted(arm).touch()
    study.refuses(data, DataError, external=c)
    study.prepare(data, external=b)
    assert predicted("baseline").exists()
    study.prepare(data)
    assert predicted("baseline").exists()  # not deleted before the new set is accepted
    study.refuses(data, SettingsError, external=c, training={"batch_size": 17})
    assert predicted("baseline").exists()
    study.prepare(data, external=c)
    assert not predicted("baseline").exists()
    assert not predicted("mixup").exists()


def test_other_splits_in_the_table_are_refused(tmp_path, study):
    study.prepare(films(tmp_path / "a", extra=halves()))
    swapped = {"split": ["test", "test", *["train"] * (N - 4), "test", "test"]}
    message = study.refuses(films(tmp_path / "a", extra=swapped), DataError)
    assert message.startswith("the splits in")


def masked(folder, number):
    """The films, the third with a mask, which is drawn by number."""
    films(folder)
    picture(number).save(folder / "mask.png")
    return films(folder, extra={"lung_mask": ["mask.png" if i == 2 else "" for i in range(N)]})


def test_changed_masks_are_refused(tmp_path, study):
    study.prepare(masked(tmp_path / "a", 50))
    before = files(study.folder)
    message = study.refuses(masked(tmp_path / "a", 51), DataError)
    assert (
        "1 images were added, removed, relabelled or rewritten, or have other masks, '2.png'"
        in message
    )
    assert "'2.png'" in study.refuses(films(tmp_path / "a"), DataError)  # no mask any more
    assert files(study.folder) == before
    study.prepare(masked(tmp_path / "a", 50))


def test_a_folder_without_hashes_of_masks_and_answers_gets_them(tmp_path, study):
    data = masked(tmp_path / "a", 50)
    path = readings(tmp_path / "r.csv", "0.png,7,1-4")
    study.prepare(data, **replaying(path))
    images = pd.read_parquet(study.folder.images)
    images.drop(columns="mask_content").to_parquet(study.folder.images, index=False)
    facts = study.folder.read_facts()
    answers = facts.pop("answers")
    study.folder.facts.write_text(json.dumps(facts))
    assert study.prepare(data, **replaying(path)).answers == answers
    assert pd.read_parquet(study.folder.images).equals(images)


def test_answers_that_have_changed_since_an_arm_was_trained_are_refused(tmp_path, study):
    data = films(tmp_path / "a", extra=halves())
    path = readings(tmp_path / "r.csv", "0.png,7,1-4", "1.png,7,5")
    first = study.prepare(data, **replaying(path))
    readings(path, "0.png,7,1-4")
    study.prepare(data, **replaying(path))  # nobody has used them yet
    readings(path, "1.png,7,5", "0.png,7,1-4")  # the order does not matter
    assert study.prepare(data, **replaying(path)).answers == first.answers
    used = study.folder.job("imil", 0, 0).run.store
    used.parent.mkdir(parents=True)
    used.touch()
    readings(path, "0.png,7,1-4", "1.png,7,6")
    before = files(study.folder)
    message = study.refuses(data, SettingsError, **replaying(path))
    assert message.startswith("the readings that 'Lee' replays have changed since")
    assert files(study.folder) == before
    study.prepare(data)  # without Lee, who comes back
    assert "'Lee'" in study.refuses(data, SettingsError, **replaying(path))


def test_patients_added_later_may_not_be_in_training_and_test(tmp_path, study):
    def of(people):
        return films(tmp_path / "a", extra={"patient": people})

    study.prepare(films(tmp_path / "a"))
    apart = read_splits(study.folder.splits(0), read_data(tmp_path / "a/films.csv"))
    study.prepare(of([f"P{i}" for i in range(N)]))  # no two images of one: the split still holds
    study.prepare(of(apart))
    before = files(study.folder)
    message = study.refuses(of(["Kim"] * N), DataError)
    assert message.startswith(
        "the patient 'Kim' is in train and in test of split 0, which was drawn"
    )
    assert files(study.folder) == before
    study.folder.facts.unlink()  # never begun: the split is drawn anew, by patient
    study.prepare(of([f"P{i // 2}" for i in range(N)]))


def test_a_damaged_images_file_is_refused(tmp_path, study):
    data = films(tmp_path / "a")
    study.prepare(data)
    study.folder.images.write_bytes(b"no table")
    assert "images.parquet cannot be read" in study.refuses(data, DataError)
