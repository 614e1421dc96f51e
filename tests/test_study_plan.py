"""The plan of a study: what is taken, and what is refused in one sentence."""

import tomllib
from pathlib import Path

import pytest

from imil.errors import SettingsError
from imil.study.arms import Arm
from imil.study.plan import make_plan, read_plan

BASE = Path("/studies")
LEAST = {"name": "A", "data": "films.csv", "arms": ["baseline"]}
LEE = {"name": "Lee", "reader": "web"}
IMIL = {"arms": ["baseline", "imil"], "readers": [LEE]}
BEST = {"name": "best"}
CURE = {
    "arms": ["baseline", "no-shortcut", "imil"],
    "readers": [LEE],
    "shortcut": {},
    "treatments": [BEST | {"controls": ["random"], "without_shortcut": True}],
}


def plan(**more):
    return make_plan(LEAST | more, base=BASE)


def sentence(make):
    with pytest.raises(SettingsError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_not_said_is_the_papers():
    result = plan()
    assert result.seeds == (0,)
    assert (result.splits.count, result.splits.test_share, result.splits.seed) == (1, 0.2, 0)
    settings = result.settings(Arm("baseline"), 0)
    assert (settings.model, settings.image_size, settings.epochs) == ("resnet50", 224, 100)
    assert (settings.optimizer, settings.lr, settings.batch_size) == ("sgd", 0.001, 64)
    assert (settings.num_outliers, settings.grid_size, result.round) == (20, "4x4", 70)


def test_each_arm_trains_with_what_makes_it_that_arm():
    result = plan(arms=["baseline", "mixup", "imil"], readers=[LEE], training={"lr": 0.1})
    baseline, mixup, imil = (result.settings(arm, 7) for arm in result.rows)
    assert (baseline.mix, mixup.mix, imil.mix) == ("none", "mixup", "none")
    assert [str(one.reader) for one in (baseline, mixup, imil)] == ["none", "none", "web"]
    assert imil.reader_name == "Lee"
    assert {settings.lr for settings in (baseline, mixup, imil)} == {0.1}
    assert {settings.seed for settings in (baseline, mixup, imil)} == {7}


def test_a_treatment_is_trained_with_its_text_and_the_readings_it_is_given():
    other = {"name": "gentle", "treatment": "best:reliance=1"}
    found = plan(**CURE | {"treatments": [*CURE["treatments"], other]})
    settings = {arm.id: found.settings(arm, 7) for arm in found.rows}
    assert {name: one.treatment for name, one in settings.items()} == {
        "baseline": "imil",
        "no-shortcut": "imil",
        "imil": "imil",
        "best": "best",
        "best-random": "best",
        "best-no-shortcut": "best",
        "gentle": "best:reliance=1",
    }
    assert str(settings["no-shortcut"].reader) == "none"
    assert str(settings["best-random"].reader) == "control:best-random"
    assert str(settings["best-no-shortcut"].reader) == "web"


def test_the_mark_is_a_letter_at_the_upper_right_and_every_arm_is_tested_with_it():
    found = plan(**CURE, external={"b": {"data": "b.csv"}})
    shortcut = found.shortcut
    assert (shortcut.kind, shortcut.place, shortcut.share) == ("letter", "upper-right", 0.97)
    assert found.more_sets == ("test-for", "test-against", "external-b")
    assert plan(external={"b": {"data": "b.csv"}}).more_sets == ("external-b",)


def test_names_are_taken_as_on_the_command_line():
    result = plan(training={"image-size": 64}, splits={"test-share": 0.25})
    assert result.settings(Arm("baseline"), 0).image_size == 64
    assert result.settings(Arm("baseline"), 0).test_share == 0.25
    assert plan(training={"image_size": 64}).training == result.training


def test_paths_are_taken_from_the_plans_folder():
    result = plan(
        arms=["baseline", "imil"],
        training={"weights": "w.safetensors"},
        external={"b": {"data": "../b.csv"}, "c": {"data": "/c.csv"}},
        readers=[{"name": "Lee", "reader": "replay:runs/lee"}, {"name": "Kim"}],
    )
    assert result.data == "/studies/films.csv"
    assert result.external["b"].data == "/studies/../b.csv"
    assert result.external["c"].data == "/c.csv"
    assert result.training["weights"] == "/studies/w.safetensors"
    assert [str(reader.reader) for reader in result.readers] == [
        "replay:/studies/runs/lee",
        "simulated",
    ]
    assert plan(training={"weights": "imagenet"}).training["weights"] == "imagenet"


def test_making_a_plan_does_not_change_the_values():
    values = LEAST | {"external": {"b": {"data": "b.csv"}}, "training": {"image-size": 64}}
    make_plan(values, base=BASE)
    assert values["external"] == {"b": {"data": "b.csv"}}
    assert values["training"] == {"image-size": 64}


def test_a_written_plan_reads_as_the_same_plan(tmp_path):
    result = plan(
        **IMIL,
        seeds=[0, 5],
        subgroups=["sex"],
        training={"lr": 0.01, "imil-epoch": [50, 70]},
        splits={"count": 3},
        external={"b": {"data": "b.csv"}},
    )
    cure = plan(**CURE)
    cure.write(tmp_path / "cure.toml")
    assert read_plan(tmp_path / "cure.toml") == cure
    result.write(tmp_path / "plan.toml")
    assert read_plan(tmp_path / "plan.toml") == result


def test_the_round_must_be_before_the_last_epoch():
    late = {"epochs": 20, "imil_epoch": 20}
    assert "imil-epoch 20" in sentence(lambda: plan(**IMIL, training=late))
    assert plan(training=late).round == 20  # no reader


def test_a_control_allows_one_round_only():
    twice = {"imil_epoch": [50, 70]}
    control = {"arms": ["baseline", "imil", "upweight"], "readers": IMIL["readers"]}
    assert "the control 'upweight'" in sentence(lambda: plan(**control, training=twice))
    assert plan(**IMIL, training=twice).round == 50


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"seed": 3}, "unknown setting 'seed' in the plan"),
        ({"splits": {"counts": 3}}, "unknown setting 'splits.counts' in the plan"),
        ({"training": {"colour": 3}}, "unknown setting 'colour'"),
        ({"training": {"lr": -1}}, "--lr is -1"),
        ({"training": {"grid-size": 33, "image-size": 32}}, "squares without a pixel"),
        (
            {"training": {"data": "x"}},
            "contains 'data', which the plan sets elsewhere: move it to data",
        ),
        ({"training": {"mix": "mixup"}}, "move it to arms"),
        (
            {"training": {"fusion": "union"}},
            "[training] contains 'fusion', which is for several readers of one training",
        ),
        (
            {"training": {"protocol": "paper"}},
            "[training] contains 'protocol', but a study always follows",
        ),
        (
            {"training": {"wait": "park"}},
            "[training] contains 'wait', but the arms of a study wait for their readers",
        ),
        (
            {"training": {"imil-epoch": 5, "imil_epoch": 6}},
            "[training] contains 'imil_epoch' twice",
        ),
        (
            {"training": {"round-when": "stall"}},
            "[training] contains round-when 'stall', but the arms of a study share the training",
        ),
        (
            {"training": {"budget": 20, "imil-epoch": [50, 70]}},
            "[training] contains budget 20 and several rounds, but a study compares rounds of",
        ),
        ({"training": {"patience": 3}}, "--patience 3 has no effect with --round-when schedule"),
        ({"training": {"choice": "clever"}}, "unknown choice of cases 'clever'"),
        ({"training": {"weights": 3}}, "--weights is 3: input should be a valid string"),
        ({"training": {"test-share": 0.1}}, "[training] contains 'test_share'"),
        ({"training": {"imil-epoch": []}}, "imil_epoch is empty"),
        ({"training": 3}, "training is 3: write [training] above its lines"),
        ({"training": [{}]}, "training is [{}]: write [training] above"),
        ({"arms": "baseline"}, "arms is 'baseline': give a list, such as ["),
        ({"subgroups": "sex"}, "subgroups is 'sex': give a list, such as ["),
        ({"subgroups": ["sex", "sex"]}, "subgroups ['sex', 'sex'] contains a column twice"),
        ({"arms": ["baseline", "cutmixx"]}, "arms.1 is 'cutmixx': input should be 'baseline'"),
        ({"arms": ["mixup"]}, "the arm 'baseline' is missing"),
        ({"arms": ["baseline", "imil"]}, "needs a reader"),
        ({"seeds": []}, "seeds is []: give a list, such as [0, 1, 2]"),
        ({"seeds": [True]}, "seeds.0 is True: input should be a valid integer"),
        ({"splits": {"count": True}}, "splits.count is True: input should be a valid integer"),
        ({"splits": {"test-share": True}}, "splits.test_share is True: input should be a valid"),
        ({"seeds": [1, 2, 1]}, "seeds [1, 2, 1] contains a seed twice"),
        ({"seeds": [0, -1]}, "--seed is -1"),
        ({"seeds": 3}, "seeds is 3: give a list, such as [0, 1, 2]"),
        ({"splits": {"count": 0}}, "splits.count is 0"),
        ({"splits": {"test_share": 1}}, "splits.test_share is 1"),
        ({"splits": [1]}, "splits is [1]: write [splits] above its lines"),
        ({"external": {"a b": {"data": "x"}}}, "external"),
        ({"external": {"b": {}}}, "the plan lacks 'external.b.data'"),
        ({"external": {"b": "b.csv"}}, "external.b is 'b.csv': write [external.NAME] above"),
        ({"external": "b.csv"}, "external is 'b.csv': write [external.NAME] above"),
        ({"external": {"b": {"data": 3}}}, "external.b.data is 3: input should be a valid string"),
        ({"readers": [LEE, LEE]}, "two readers have the same name"),
        ({"readers": [{"name": "../Lee"}]}, "readers.0.name is '../Lee'"),
        ({"readers": [LEE | {"colour": 1}]}, "unknown setting 'readers.0.colour' in the plan"),
        ({"readers": [LEE | {"otherwise": "console"}]}, "'otherwise', which only replay:FILE"),
        ({"readers": [{"reader": "web"}]}, "the plan lacks 'readers.0.name'"),
        ({"readers": "Lee"}, "readers is 'Lee': write [[readers]] above the lines of each"),
        ({"readers": LEE}, "write [[readers]] above the lines of each"),
        ({"readers": ["Lee"]}, "readers.0 is 'Lee': write [[readers]] above"),
        ({"readers": [LEE | {"reader": 3}]}, "readers.0.reader is 3: input should be a valid"),
        ({"shortcut": {"share": 0.4}}, "shortcut.share is 0.4: input should be greater than"),
        ({"shortcut": {"kind": "R"}}, "shortcut.kind is 'R': input should be 'letter', 'border'"),
        ({"shortcut": {"place": "top"}}, "shortcut.place is 'top': input should be"),
        ({"shortcut": {"size": 1}}, "unknown setting 'shortcut.size' in the plan"),
        ({"shortcut": "letter"}, "shortcut is 'letter': write [shortcut] above its lines"),
        ({"arms": ["baseline", "no-shortcut"]}, "add a [shortcut] table"),
        (IMIL | {"treatments": [{"name": "bset"}]}, "'bset' cannot be used: unknown treatment"),
        (
            IMIL | {"treatments": [{"name": "a", "treatment": "best:irrelevant=2"}]},
            "the treatment 'a' cannot be used: irrelevant is 2.0: give a share",
        ),
        (IMIL | {"treatments": [{"name": "a b"}]}, "treatments.0.name is 'a b'"),
        (
            IMIL | {"treatments": [BEST | {"controls": ["mean"]}]},
            "treatments.0.controls.0 is 'mean': input should be 'random', 'inverted' or",
        ),
        (IMIL | {"treatments": [BEST | {"controls": ["random"] * 2}]}, "has a control twice"),
        (IMIL | {"treatments": BEST}, "write [[treatments]] above the lines of each"),
        (IMIL | {"treatments": [BEST | {"without_shortcut": 1}]}, "should be a valid boolean"),
        ({"treatments": [BEST]}, "the treatment 'best' uses the readings of the arm 'imil'"),
        (
            IMIL | {"treatments": [BEST], "training": {"imil_epoch": [50, 70]}},
            "imil-epoch has several rounds, but the treatment 'best' has the same cases",
        ),
        ({"data": 3}, "data is 3: input should be a valid string"),
        ({"name": ""}, "name is ''"),
    ],
)
def test_an_invalid_plan_is_refused_in_one_sentence(more, says):
    assert says in sentence(lambda: plan(**more))


@pytest.mark.parametrize(
    ("reader", "asks"),
    [
        ({"reader": "replay:lee.csv"}, ""),
        ({"reader": "replay:lee.csv", "otherwise": "console"}, "console"),
        ({"reader": "replay:lee.csv", "otherwise": "web"}, "web"),
        ({"reader": "web"}, "web"),
        ({"reader": "console"}, "console"),
        ({"reader": "simulated"}, ""),
    ],
)
def test_a_person_is_asked_where_the_plan_says_so(reader, asks):
    assert plan(**IMIL | {"readers": [{"name": "Lee"} | reader]}).reader("Lee").asks == asks


@pytest.mark.parametrize("name", ["name", "data", "arms"])
def test_a_missing_required_setting_is_named(name):
    values = {key: value for key, value in LEAST.items() if key != name}
    message = sentence(lambda: make_plan(values, base=BASE))
    assert message == f"the plan lacks '{name}': add it"


def test_a_missing_file_or_invalid_toml_is_refused_in_one_sentence(tmp_path):
    assert "cannot be read" in sentence(lambda: read_plan(tmp_path / "nowhere.toml"))
    (tmp_path / "plan.toml").write_text("name = ")
    assert "is not valid TOML" in sentence(lambda: read_plan(tmp_path / "plan.toml"))
    (tmp_path / "plan.toml").write_bytes(b"name = '\xff'")
    assert "is not valid TOML" in sentence(lambda: read_plan(tmp_path / "plan.toml"))


def test_a_plan_is_read_from_its_file(tmp_path):
    text = 'name = "A"\ndata = "films.csv"\narms = ["baseline"]\n[training]\nimage-size = 64\n'
    (tmp_path / "plan.toml").write_text(text)
    result = read_plan(tmp_path / "plan.toml")
    assert result.data == str(tmp_path / "films.csv")
    assert result.training == {"image_size": tomllib.loads(text)["training"]["image-size"]}
