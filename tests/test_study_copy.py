"""`imil store copy` of a study: every training's rows in one store, under names of their own."""

from contextlib import closing

import pytest
from studies import make_study
from typer.testing import CliRunner

from imil.cli.main import app
from imil.errors import StoreError
from imil.store import Store
from imil.store.audit import newest
from imil.store.copying import digests
from imil.study_copies import copy_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "tb"
    small = {"n": 40, "train": 24, "cases": 3, "seeds": (0, 1), "external": (), "subgroups": ()}
    return make_study(folder, arms=("baseline", "imil"), **small)


def jobs(study):
    return sorted(path.parent for path in study.path.glob("jobs/*/*/imil.sqlite"))


def test_every_training_of_a_study_is_copied_under_a_name_of_its_own(study, tmp_path):
    target = tmp_path / "all.sqlite"
    words = ["store", "copy", str(study.path), str(target)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert f"Copied {len(jobs(study))} runs with" in result.output
    with closing(Store(target, readonly=True)) as store:
        names = {row["name"] for row in store.runs()}
        assert names == {f"tb-{job.parent.name}-{job.name}" for job in jobs(study)}
        for job in jobs(study):
            name = f"tb-{job.parent.name}-{job.name}"
            with closing(Store(job / "imil.sqlite", readonly=True)) as own:
                (run,) = (row["name"] for row in own.runs())
                (before,), (after,) = own.rounds(run), store.rounds(name)
                assert after.id == f"{name}@{before.epoch}"
                shown = [
                    [(case.key, case.number, case.image.tobytes()) for case in of.cases(id_)]
                    for of, id_ in ((own, before.id), (store, after.id))
                ]
                assert shown[0] == shown[1]
                given = [
                    [(one.id, one.reader, one.squares, one.created) for one in of.readings(id_)]
                    for of, id_ in ((own, before.id), (store, after.id))
                ]
                assert given[0] == given[1] != []
                assert newest(own, run)[0].what == "export"
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "already has a run 'tb-imil-seed-0-split-0'" in again.stderr


def test_nothing_is_copied_where_one_training_cannot_be(study, tmp_path):
    target = tmp_path / "all.sqlite"
    with closing(Store(target)) as store:
        last = f"tb-{jobs(study)[-1].parent.name}-{jobs(study)[-1].name}"
        store.add_run(last, class_names=["a", "b"], settings={}, versions={})
    with pytest.raises(StoreError, match=f"already has a run '{last}'"):
        copy_study(study.path, str(target))
    with closing(Store(target, readonly=True)) as store, store.read() as db:
        assert [row["name"] for row in store.runs()] == [last]
        assert not digests(db, None)["readings"]
        assert not digests(db, None)["images"]
