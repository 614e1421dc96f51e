"""Final labels from tables of codes, FHIR's DiagnosticReport and DICOM Structured Reports."""

import json

import numpy as np
import pytest

from imil.data.reports.codes import Codes
from imil.data.reports.fhir import read_fhir
from imil.data.reports.read import read_report
from imil.data.reports.report import Entry
from imil.errors import DataError, SettingsError

SNOMED = "http://snomed.info/sct"
TB, NORMAL = "56717001", "17621005"
CODES = Codes({("SCT", TB): "TB", ("SCT", NORMAL): "normal"})


def study(name, uid=None, accession=None):
    """An ImagingStudy."""
    identifiers = []
    if uid:
        identifiers.append({"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"})
    if accession:
        kind = {"coding": [{"code": "ACSN"}]}
        identifiers.append({"type": kind, "value": accession})
    return {"resourceType": "ImagingStudy", "id": name, "identifier": identifiers}


def report(*codes, status="final", **more):
    """A DiagnosticReport with these SNOMED codes."""
    concepts = [{"coding": [{"system": SNOMED, "code": code}]} for code in codes]
    return {
        "resourceType": "DiagnosticReport",
        "status": status,
        "conclusionCode": concepts,
        **more,
    }


def bundle(path, *resources, base="https://ehr/fhir"):
    entries = [
        {"fullUrl": f"{base}/{one['resourceType']}/{one.get('id', 'x')}", "resource": one}
        for one in resources
    ]
    path.write_text(json.dumps({"resourceType": "Bundle", "entry": entries}))
    return path


def refer(address):
    return [{"reference": address}]


@pytest.mark.parametrize(
    "given",
    [
        {"imagingStudy": refer("ImagingStudy/s1")},  # R4
        {"study": refer("https://ehr/fhir/ImagingStudy/s1")},  # R5
        {"imagingStudy": refer("https://other/fhir/ImagingStudy/s1")},
        {"imagingStudy": refer("#own"), "contained": [study("own", "1.2.3")]},
        {"imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}}]},
    ],
)
def test_a_report_names_its_study_in_each_way_of_fhir(tmp_path, given):
    path = bundle(tmp_path / "r.json", study("s1", "1.2.3", "A1"), report(TB, **given))
    assert read_fhir(path, CODES).entries == (Entry((("StudyInstanceUID", "1.2.3"),), "TB"),)


@pytest.mark.parametrize(
    "given",
    [
        {"imagingStudy": refer("ImagingStudy/s1")},
        {"basedOn": refer("ServiceRequest/o1")},
        {"identifier": [{"type": {"coding": [{"code": "ACSN"}]}, "value": "A1"}]},
    ],
)
def test_without_a_uid_the_accession_number_names_the_study(tmp_path, given):
    order = study("o1", accession="A1") | {"resourceType": "ServiceRequest"}
    path = bundle(tmp_path / "r.json", study("s1", accession="A1"), order, report(TB, **given))
    assert read_fhir(path, CODES).entries == (Entry((("AccessionNumber", "A1"),), "TB"),)


def test_drafts_and_unknown_codes_are_left_out_and_counted(tmp_path):
    of = {"imagingStudy": refer("ImagingStudy/s1")}
    path = bundle(
        tmp_path / "r.json",
        study("s1", "1.2.3"),
        report(TB, status="preliminary", **of),
        report("1", **of),
        report("1", status="entered-in-error", **of),
        report(NORMAL, "1", status="amended", **of),
    )
    result = read_fhir(path, CODES)
    assert [entry.label for entry in result.entries] == ["normal"]
    assert result.notes == (
        "2 reports are not final, and left out.",
        "1 reports are without a code of the table, and left out.",
    )
    assert not result.complete


def test_a_file_with_a_resource_a_line_is_read(tmp_path):
    path = tmp_path / "r.ndjson"
    lines = [study("s1", "1.2.3"), report(TB, imagingStudy=refer("ImagingStudy/s1"))]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert read_fhir(path, CODES).entries[0].names == (("StudyInstanceUID", "1.2.3"),)


OF = {"imagingStudy": refer("ImagingStudy/s1")}


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ([study("s1", "1.2.3")], "has no DiagnosticReport"),
        ([report(TB)], "report 1 of .* names neither a study"),
        ([study("s1", "1.2.3"), report(TB, NORMAL, **OF)], "has codes of the labels TB, normal"),
        ([study("s1", "1.2.3"), report(TB, status="x", **OF)], "1 reports are not final"),
        (
            [study("s1", "1.2.3"), report(TB, **OF), report(NORMAL, **OF)],
            "has two reports of one image, 'normal' in report 2 and 'TB' in report 1",
        ),
    ],
)
def test_fhir_that_does_not_say_one_label_is_a_sentence(tmp_path, resources, message):
    with pytest.raises(DataError, match=message):
        read_fhir(bundle(tmp_path / "r.json", *resources), CODES)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{", "\x00", '"text"', "[1, null]", "{}"])
def test_hostile_json_is_a_sentence(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"is not valid JSON|has no DiagnosticReport"):
        read_fhir(path, CODES)


def test_fields_of_another_type_than_fhir_has_are_not_read(tmp_path):
    path = tmp_path / "r.json"
    odd = {"resourceType": "DiagnosticReport", "status": ["final"], "conclusionCode": "TB"}
    path.write_text(json.dumps({"entry": [None, 3, {"resource": odd}, {"resource": []}]}))
    with pytest.raises(DataError, match="1 reports are not final"):
        read_fhir(path, CODES)


@pytest.mark.parametrize(
    ("system", "matches"),
    [("SCT", True), (SNOMED, True), ("", True), ("DCM", False)],
)
def test_a_code_is_one_of_its_system_under_either_name(tmp_path, system, matches):
    path = tmp_path / "codes.csv"
    path.write_text(f"system,code,label\n{system},{TB},TB\n")
    codes = Codes.read(path)
    assert (codes.label((SNOMED, TB)) == "TB") is matches
    assert (codes.label(("SCT", TB)) == "TB") is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code\n1\n", "has no column 'label'"),
        ("code,label\n1,\n", "row 1 .* has no code or no label"),
        ("code,label\n1,a\n1,b\n", "gives code 1 the label 'b', and an earlier row 'a'"),
    ],
)
def test_a_table_of_codes_that_does_not_fit_is_a_sentence(tmp_path, text, message):
    path = tmp_path / "codes.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        Codes.read(path)


def test_codes_and_reports_belong_together(tmp_path):
    table = tmp_path / "r.csv"
    table.write_text("image,label\na.png,TB\n")
    codes = tmp_path / "codes.csv"
    codes.write_text(f"code,label\n{TB},TB\n")
    with pytest.raises(SettingsError, match="is a table of labels: leave it out"):
        read_report(table, codes=codes)
    coded = bundle(tmp_path / "r.json", study("s1", "1.2.3"), report(TB, **OF))
    with pytest.raises(SettingsError, match="give --codes"):
        read_report(coded)
    assert read_report(coded, codes=codes).entries[0].label == "TB"
    with pytest.raises(DataError, match="does not exist"):
        read_report(tmp_path / "none.json", codes=codes)


def item(*code, within=()):
    """An item of a report's content with a code."""
    pydicom = pytest.importorskip("pydicom")
    concept, result = pydicom.Dataset(), pydicom.Dataset()
    concept.CodingSchemeDesignator, concept.CodeValue, concept.CodeMeaning = *code, "?"
    result.ValueType, result.RelationshipType = "CODE", "CONTAINS"
    result.ConceptCodeSequence = [concept]
    if within:
        result.ContentSequence = list(within)
    return result


def structured(path, *items, evidence=(), completion="COMPLETE", verification="VERIFIED"):
    """Write a DICOM Structured Report of study 1.2.9."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = ComprehensiveSRStorage
    dataset.SOPInstanceUID = f"1.2.4.{abs(hash(path.name)) % 1000}"
    dataset.StudyInstanceUID, dataset.Modality = "1.2.9", "SR"
    dataset.CompletionFlag, dataset.VerificationFlag = completion, verification
    heading = pydicom.Dataset()
    heading.ValueType, heading.ContentSequence = "CONTAINER", list(items)
    dataset.ContentSequence = [heading]
    if evidence:
        references = []
        for uid in evidence:
            reference = pydicom.Dataset()
            reference.ReferencedSOPInstanceUID = uid
            references.append(reference)
        series, of_study = pydicom.Dataset(), pydicom.Dataset()
        series.ReferencedSOPSequence = references
        of_study.ReferencedSeriesSequence = [series]
        dataset.CurrentRequestedProcedureEvidenceSequence = [of_study]
    dataset.save_as(path, enforce_file_format=True)
    return path


def read_sr(path):
    from imil.data.reports.structured import read_structured

    return read_structured(path, CODES)


def test_a_structured_report_is_for_the_images_of_its_evidence_or_study(tmp_path):
    one = structured(tmp_path / "a.dcm", item("SCT", TB), item("DCM", TB), evidence=["1.5", "1.6"])
    names = (("SOPInstanceUID", "1.5"), ("SOPInstanceUID", "1.6"))
    assert read_sr(one).entries == (Entry(names, "TB"),)
    two = structured(tmp_path / "b.dcm", item("SCT", NORMAL))
    assert read_sr(two).entries == (Entry((("StudyInstanceUID", "1.2.9"),), "normal"),)
    assert [entry.label for entry in read_sr(tmp_path).entries] == ["TB", "normal"]


def test_reports_that_are_not_final_are_left_out(tmp_path):
    structured(tmp_path / "a.dcm", item("SCT", TB), completion="PARTIAL")
    structured(tmp_path / "b.dcm", item("SCT", TB), verification="UNVERIFIED")
    structured(tmp_path / "c.dcm", item("SCT", "1"))
    structured(tmp_path / "d.dcm", item("SCT", TB))
    result = read_sr(tmp_path)
    assert len(result.entries) == 1
    assert [note.split()[0] for note in result.notes] == ["2", "1"]


def test_a_code_with_a_modifier_is_refused_since_it_may_be_negated(tmp_path):
    absent = item("SCT", TB, within=[item("SCT", "2667000")])
    path = structured(tmp_path / "a.dcm", absent)
    with pytest.raises(DataError, match="has code 56717001 with a modifier"):
        read_sr(path)
    # one that means no label may have some
    unknown = item("SCT", "1", within=[item("SCT", TB)])
    assert read_sr(structured(tmp_path / "b.dcm", unknown)).entries[0].label == "TB"


def test_a_folder_without_reports_is_a_sentence(tmp_path):
    from dicom_writer import make_dicom

    make_dicom(tmp_path / "image.dcm", np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match="has no DICOM Structured Report"):
        read_sr(tmp_path)
