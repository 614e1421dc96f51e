"""Names of heat-map methods, in settings, on pages and in the record of a run."""

import pytest

from imil.errors import DataError, SettingsError
from imil.heat_map_names import heat_map_name, write_heat_map_method
from imil.settings import resolve
from imil.study.study_folder import StudyFolder


def test_a_record_says_which_method_drew_the_heat_maps(tmp_path):
    path = tmp_path / "heat_map.json"
    write_heat_map_method(path, None)  # not known yet
    assert not path.exists()
    assert heat_map_name(path) == "Grad-CAM"  # as all heat-maps of earlier versions
    write_heat_map_method(path, "relevance")
    assert heat_map_name(path) == "relevance propagation"


@pytest.mark.parametrize("content", ["{", "[]", '{"method": "lime"}', "{}"])
def test_a_damaged_record_is_refused(tmp_path, content):
    path = tmp_path / "heat_map.json"
    path.write_text(content)
    with pytest.raises(DataError, match="is damaged: delete it, and continue the run"):
        heat_map_name(path)


def test_a_study_names_the_methods_of_all_its_trainings(tmp_path):
    study = StudyFolder(tmp_path)
    assert study.heat_maps_by == "Grad-CAM"
    for seed, method in enumerate(("relevance", "grad-cam", "relevance")):
        path = study.job("baseline", seed, 0).run.heat_map
        path.parent.mkdir(parents=True)
        write_heat_map_method(path, method)
    assert study.heat_maps_by == "Grad-CAM and relevance propagation"


def test_the_setting_takes_known_methods():
    assert resolve({"data": "x.csv"}).heat_map == "auto"
    assert resolve({"data": "x.csv", "heat_map": "grad-cam"}).heat_map == "grad-cam"
    with pytest.raises(SettingsError, match="unknown heat-map method 'lime': expected one of auto"):
        resolve({"data": "x.csv", "heat_map": "lime"})
