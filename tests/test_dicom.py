"""DICOM files: what a viewer shows, every transfer syntax, and nothing of what names a patient."""

import csv
import io
import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from imil.data.table import Columns, read_data
from imil.errors import DataError
from imil.images.load import image_size, load_image

pydicom = pytest.importorskip("pydicom")

from dicom_writer import make_dicom  # noqa: E402 - it needs pydicom

from imil.images import dicom, dicom_file  # noqa: E402
from imil.images.dicom_file import read_tags  # noqa: E402

HERE = Path(pydicom.__file__).parent / "data" / "test_files"


def real(name):
    """A file of pydicom, or of pydicom-data."""
    if (HERE / name).is_file():
        return HERE / name
    data_store = pytest.importorskip("data_store")
    return Path(data_store.__file__).parent / "data" / name


def ramp(dtype=np.uint16, *, low=0, high=4095):
    return np.linspace(low, high, 30 * 20).reshape(20, 30).astype(dtype)


# --- what is decoded ----------------------------------------------------------------------

SAME = {
    "MR_small.dcm": (
        *("MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm"),
        *("MR_small_implicit.dcm", "MR_small_padded.dcm"),
        *("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    ),
    "OBXXXX1A.dcm": ("OBXXXX1A_rle.dcm", "OBXXXX1A_expb.dcm"),
    "SC_rgb.dcm": ("SC_rgb_rle.dcm", "SC_rgb_expb.dcm", "SC_rgb_gdcm2k_uncompressed.dcm"),
    "SC_rgb_16bit.dcm": ("SC_rgb_rle_16bit.dcm", "SC_rgb_expb_16bit.dcm"),
    "693_UNCR.dcm": ("693_J2KR.dcm",),
    "RG3_UNCR.dcm": ("RG3_J2KR.dcm",),
    "MR2_UNCR.dcm": ("MR2_J2KR.dcm",),
}
SAME_PAIRS = [(one, other) for one, others in SAME.items() for other in others]


@pytest.mark.parametrize(("plain", "other"), SAME_PAIRS)
def test_lossless_transfer_syntaxes_give_the_same_pixels(plain, other):
    first, second = load_image(real(plain)), load_image(real(other))
    if plain == "MR2_UNCR.dcm" or plain.startswith(("693", "RG3")):
        # the pairs differ in their windows; what is stored is the same
        first, second = stored(real(plain)), stored(real(other))
    np.testing.assert_array_equal(first, second)


def stored(path):
    with path.open("rb") as file:
        dataset = read_tags(file, dicom.TAGS + dicom.PIXELS)
    return dicom._decoded(dataset, 0)[0]


@pytest.mark.parametrize(
    "name",
    [
        *("JPEG2000.dcm", "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm"),
        *(
            "SC_rgb_jpeg_dcmtk.dcm",
            "SC_rgb_dcmtk_+eb+cy+s4.dcm",
            "SC_ybr_full_422_uncompressed.dcm",
        ),
        *("US1_J2KR.dcm", "color-pl.dcm", "examples_palette.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm"),
        *("JPEG-LL.dcm", "GDCMJ2K_TextGBR.dcm", "SC_rgb_jls_lossy_line.dcm", "image_dfl.dcm"),
    ],
)
def test_files_of_many_writers_are_read_at_the_size_of_their_header(name):
    image = load_image(real(name))
    assert image.shape[:2] == image_size(real(name))
    assert image.dtype in (np.uint8, np.uint16)
    assert image.std() > 0


def test_a_jpeg_of_12_bits_is_read():
    pytest.importorskip("imagecodecs", reason="imagecodecs, which decodes 12-bit JPEG, is optional")
    image = load_image(real("JPGExtended.dcm"))
    assert image.shape == (1024, 256)
    # 12 bits are kept: the original of the file has values up to 275 (JPEG2000_UNC.dcm)
    assert 255 < image.max() < 4096


def test_ybr_colours_become_rgb():
    expected = load_image(real("SC_rgb.dcm")).astype(int)
    image = load_image(real("SC_ybr_full_uncompressed.dcm")).astype(int)
    assert np.abs(image - expected).max() <= 6  # rounded twice


# --- grey values as they are shown --------------------------------------------------------


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
@pytest.mark.parametrize("signed", [False, True])
def test_windows_are_those_of_the_standard(tmp_path, function, signed):
    pixels = ramp(np.int16 if signed else np.uint16, low=-1000 if signed else 0)
    more = {"VOILUTFunction": function} if function else {}
    path = make_dicom(
        tmp_path / "a.dcm",
        pixels,
        BitsStored=16 if signed else 12,
        HighBit=15 if signed else 11,
        RescaleSlope=2,
        RescaleIntercept=-100,
        WindowCenter=[900, 1],
        WindowWidth=[1500, 2],
        **more,
    )
    dataset = pydicom.dcmread(path)
    values = pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset)
    shown = pydicom.pixels.apply_voi_lut(values, dataset, index=0)
    # its range is that of the values after the rescale
    low, high = (-(2**15) * 2 - 100, (2**15 - 1) * 2 - 100) if signed else (-100, 4095 * 2 - 100)
    expected = (shown - low) / (high - low) * 65535
    np.testing.assert_allclose(load_image(path), expected, atol=1)


@pytest.mark.parametrize("name", ["vlut_04.dcm", "mlut_18.dcm"])
def test_lookup_tables_are_those_of_pydicom(name):
    dataset = pydicom.dcmread(real(name))
    values = pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset)
    shown = pydicom.pixels.apply_voi_lut(values, dataset).astype(float)
    image = load_image(real(name)).astype(float)
    # equal up to the range, which is 0 to 1 of the table here
    assert np.corrcoef(shown.ravel(), image.ravel())[0, 1] > 0.9999


def test_without_a_window_values_keep_their_steps(tmp_path):
    pixels = ramp(low=1000)
    path = make_dicom(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(load_image(path), pixels - 1000)


def test_monochrome1_is_inverted(tmp_path):
    pixels = ramp(np.uint8, high=255)
    path = make_dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(load_image(path), 255 - pixels)


@pytest.mark.parametrize("colours", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count(tmp_path, colours):
    pixels = ramp(np.int16, low=100, high=500)
    pixels[:5] = -2000
    path = make_dicom(
        tmp_path / "a.dcm", pixels, PixelPaddingValue=-2000, PhotometricInterpretation=colours
    )
    image = load_image(path)
    assert not image[:5].any()
    assert image.max() == pixels[5:].max() - pixels[5:].min()


def test_overlays_in_unused_bits_are_not_seen(tmp_path):
    pixels = ramp()
    marked = pixels | np.uint16(1 << 15)
    marked[0] = pixels[0]
    path = make_dicom(tmp_path / "a.dcm", marked, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(load_image(path), pixels)


def test_an_image_is_never_mirrored(tmp_path):
    pixels = ramp(np.uint8, high=255)
    path = make_dicom(
        tmp_path / "a.dcm",
        pixels,
        PatientOrientation=["R", "F"],
        ImageLaterality="R",
        FieldOfViewHorizontalFlip="YES",
        FieldOfViewRotation=90,
    )
    np.testing.assert_array_equal(load_image(path), pixels)


def test_a_preamble_that_starts_as_a_tiff_is_no_tiff():
    assert real("CT_small.dcm").read_bytes()[:4] == b"II*\0"
    assert load_image(real("CT_small.dcm")).shape == (128, 128)


# --- files that are refused ---------------------------------------------------------------


def refusal(path):
    with pytest.raises(DataError) as error:
        load_image(path)
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        *("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "JPEG-LL.dcm"),
        *("MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPGExtended.dcm"),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(tmp_path, name, share):
    data = real(name).read_bytes()
    path = tmp_path / "a.dcm"
    path.write_bytes(data[: int(share * len(data))])
    assert "is truncated" in refusal(path)


def test_a_compressed_image_that_was_cut_off_within_a_whole_file_is_refused(tmp_path):
    from pydicom.encaps import encapsulate, get_frame

    for name in ("JPEG-LL.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jp2klossless.dcm"):
        dataset = pydicom.dcmread(real(name))
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        dataset.PixelData = encapsulate([frame[: min(2000, len(frame) // 2)]])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(tmp_path / "a.dcm")
        assert "no end marker" in refusal(tmp_path / "a.dcm")


def test_a_compressed_image_larger_than_its_header_says_is_refused(tmp_path):
    dataset = pydicom.dcmread(real("MR_small_jp2klossless.dcm"))
    dataset.Rows, dataset.Columns = 32, 32
    dataset.save_as(tmp_path / "a.dcm")
    assert "has 64 × 64 pixels, its header says 32 × 32" in refusal(tmp_path / "a.dcm")


def test_a_deflated_file_that_inflates_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_file, "MAX_FILE", 1_000_000)
    path = make_dicom(tmp_path / "a.dcm", ramp())
    plain = path.read_bytes()
    start = len(plain) - len(pydicom_data_set(path))
    meta = pydicom.filereader.read_file_meta_info(path)
    meta.TransferSyntaxUID = dicom_file.DEFLATED
    head = io.BytesIO()
    head.write(b"\0" * 128 + b"DICM")
    pydicom.filewriter.write_file_meta_info(head, meta)
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = head.getvalue() + engine.compress(plain[start:] + bytes(10_000_000)) + engine.flush()
    path.write_bytes(bomb)
    assert len(bomb) < 20_000
    assert "inflates to more than 1 MB" in refusal(path)
    path.write_bytes(bomb[:2000])
    assert "is truncated: its deflated part has no end" in refusal(path)


def pydicom_data_set(path):
    """The bytes behind the meta information."""
    data = path.read_bytes()
    (length,) = struct.unpack("<I", data[140:144])  # of group 2, behind its first element
    return data[144 + length :]


def test_an_image_that_is_too_large_is_refused_by_its_header(tmp_path):
    path = make_dicom(tmp_path / "a.dcm", ramp(), Rows=60000, Columns=60000)
    assert "expected at most 100,000,000" in refusal(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SC_rgb_rle_2frame.dcm", "has 2 frames: name the one to use"),
        ("rtdose_1frame.dcm", "has pixels of 32 bits"),
        ("rtplan.dcm", "is a DICOM file without an image"),
        ("liver_1frame.dcm", "has pixels of 1 bits"),
    ],
)
def test_what_is_no_image_of_one_frame_says_why(name, message):
    assert message in refusal(real(name))


def test_random_damage_is_a_sentence_or_an_image(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm", "CT_small.dcm"):
        data = bytearray(real(name).read_bytes())
        for _ in range(15):
            damaged = data.copy()
            for at in rng.integers(132, len(data), 20):
                damaged[at] = rng.integers(256)
            path = tmp_path / "a.dcm"
            path.write_bytes(damaged)
            with suppress(DataError):
                load_image(path)


def test_without_pydicom_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = make_dicom(tmp_path / "a.dcm", ramp())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert "pip install 'imil[dicom]'" in refusal(path)


# --- tables and patients ------------------------------------------------------------------

SECRETS = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "MRN-4711-0815",
    "PatientBirthDate": "19610203",
    "PatientAddress": "Seestrasse 5",
    "PatientTelephoneNumbers": "0301234567",
    "PatientMotherBirthName": "Schmidtova",
    "OtherPatientNames": "Erika^Zweitname",
    "PatientComments": "Kommentar-zur-Patientin",
    "EthnicGroup": "Gruppe-X9",
    "Occupation": "Glasblaeserin",
    "AdditionalPatientHistory": "Vorgeschichte-Q7",
    "AccessionNumber": "ACC-998877",
    "StudyID": "STUDY-5566",
    "StudyInstanceUID": "1.2.826.0.1.99.1",
    "SeriesInstanceUID": "1.2.826.0.1.99.2",
    "FrameOfReferenceUID": "1.2.826.0.1.99.3",
    "StudyDate": "20250101",
    "StudyTime": "101112.131415",
    "AcquisitionDate": "20250102",
    "ContentDate": "20250103",
    "InstitutionName": "Klinik-am-See",
    "InstitutionAddress": "Am-See-17",
    "InstitutionalDepartmentName": "Abteilung-R2D2",
    "ReferringPhysicianName": "Zuweiser^Paul",
    "PerformingPhysicianName": "Untersucher^Ida",
    "OperatorsName": "Bediener^Ole",
    "StationName": "STATION-C3PO",
    "DeviceSerialNumber": "SERIAL-00042",
    "StudyDescription": "Beschreibung-K8",
    "RequestedProcedureDescription": "Anforderung-T5",
    "ImageComments": "Bildkommentar-V4",
}


def write_set(folder, patients, *, planted=False):
    """Files n.dcm, each of the patient of that place; returns the UIDs."""
    folder.mkdir(parents=True, exist_ok=True)
    uids = [f"1.2.826.0.1.7.{n}" for n in range(len(patients))]
    for n, (patient, uid) in enumerate(zip(patients, uids, strict=True)):
        pixels = np.random.default_rng(n).integers(0, 4096, (40, 40)).astype(np.uint16)
        more = SECRETS | {"PatientID": patient} if planted else {"PatientID": patient}
        make_dicom(folder / f"{n}.dcm", pixels, **(more | {"SOPInstanceUID": uid}))
    return uids


def save_table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_patients_come_from_the_headers_without_their_names(tmp_path):
    write_set(tmp_path / "films", ["A1", "B2", "A1", ""])
    rows = [[f"films/{n}.dcm", n % 2] for n in range(4)]
    table = read_data(save_table(tmp_path / "t.csv", ["image", "label"], rows))
    assert table.patients == ("patient 1", "patient 2", "patient 1", "patient 3")
    unused = read_data(tmp_path / "t.csv", Columns(patient="none"))
    assert unused.patients is None


def test_labels_are_found_by_instance_or_by_patient(tmp_path):
    uids = write_set(tmp_path / "films", ["A1", "B2", "A1"])
    rows = [[uid, name] for uid, name in zip(uids, ("sick", "well", "sick"), strict=True)]
    by_uid = read_data(save_table(tmp_path / "u.csv", ["SOPInstanceUID", "label"], rows[::-1]))
    assert dict(zip(by_uid.keys, by_uid.labels.tolist(), strict=True)) == {
        "films/0.dcm": 0,
        "films/1.dcm": 1,
        "films/2.dcm": 0,
    }
    (tmp_path / "u.csv").unlink()
    rows = [["B2", "well"], ["A1", "sick"]]
    table = read_data(save_table(tmp_path / "p.csv", ["patient id", "label"], rows))
    assert table.keys == ("films/1.dcm", "films/0.dcm", "films/2.dcm")
    assert table.patients == ("patient 1", "patient 2", "patient 2")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["A1", "x"]], "1 DICOM files have no row"),
        ([["A1", "x"], ["B2", "y"], ["C3", "y"]], "1 rows have no DICOM file"),
        ([["A1", "x"], ["B2", "y"], ["A1", "y"]], "the same as an earlier row"),
        ([["A1", "x"], ["", "y"]], "is empty"),
    ],
)
def test_rows_and_files_that_do_not_match_are_named(tmp_path, rows, message):
    write_set(tmp_path / "films", ["A1", "B2"])
    with pytest.raises(DataError, match=message) as error:
        read_data(save_table(tmp_path / "t.csv", ["PatientID", "label"], rows))
    assert "B2" not in str(error.value)
    assert "C3" not in str(error.value)


def page_of(store_path):
    """What the reading room sends of a run: the page, its rounds, cases, images and heat-maps."""
    from rooms import link, serving, visiting

    from imil.store import Store

    store = Store(store_path)
    secret = link(store, run="run")
    store.close()
    sent = {}
    with serving(store_path) as address, visiting(address, secret) as browser:
        session = browser.get("/api/session")
        sent["session"] = session.content
        for line in session.json()["rounds"]:
            answer = browser.get(f"/api/rounds/{line['id']}")
            assert answer.status_code == 200, answer.text
            sent[f"round {line['id']}"] = answer.content
            for case in answer.json()["cases"]:
                for url in (case["image"]["url"], *map(case["opinion"]["heatMaps"].get, ("true",))):
                    sent[url] = browser.get(f"/{url}").content
    assert len(sent) > 4
    return sent


def test_a_run_writes_nothing_that_names_a_patient(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from imil.cli.main import app

    patients = [f"MRN-4711-08{n:02}" for n in range(8)]
    write_set(tmp_path / "films", patients, planted=True)
    rows = [[f"films/{n}.dcm", ("sick", "well")[n % 2]] for n in range(8)]
    table = save_table(tmp_path / "t.csv", ["image", "label"], rows)
    readings = [[f"films/{n}.dcm", "1 2"] for n in range(8)]
    save_table(tmp_path / "r.csv", ["key", "squares"], readings)
    monkeypatch.chdir(tmp_path)
    arguments = ["train", str(table), "--reader", "replay:r.csv", "--out", "out/run"]
    arguments += ["--cache", "out/cache", "--model", "test_resnet", "--image-size", "32"]
    arguments += ["--epochs", "2", "--imil-epoch", "1", "--batch-size", "2", "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/run/imil.sqlite").exists()
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    content = {str(path): path.read_bytes() for path in written}
    content |= {"output": result.output.encode()} | page_of(tmp_path / "out/run/imil.sqlite")
    assert len(content) > 8
    secrets = [*SECRETS.values(), *patients, "1.2.826.0.1.7.", "Mustermann", "MRN-4711"]
    for where, data in content.items():
        for secret in secrets:
            assert secret.encode() not in data, f"{secret} in {where}"


def test_neither_warnings_nor_logs_quote_the_header(tmp_path, capfd):
    path = make_dicom(tmp_path / "a.dcm", ramp(), **SECRETS)
    data = path.read_bytes().replace(b"19610203", b"1961XX03")
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_image(path)
        path.write_bytes(data[: len(data) // 2])
        message = refusal(path)
    assert not [one for one in caught if any(s in str(one.message) for s in SECRETS.values())]
    shown = message + "".join(capfd.readouterr())
    assert not [secret for secret in SECRETS.values() if secret in shown]


def test_without_dicom_files_nothing_of_it_is_loaded(tmp_path):
    for n in range(2):
        Pillow.fromarray(ramp(np.uint8, high=255)).save(tmp_path / f"{n}.png")
    save_table(tmp_path / "t.csv", ["image", "label"], [["0.png", 0], ["1.png", 1]])
    code = (
        "import sys, imil\n"
        "from imil.data.table import read_data\n"
        "from imil.images.load import load_image\n"
        "[load_image(path) for path in read_data(sys.argv[1]).images]\n"
        "names = {name.split('.')[0] for name in sys.modules}\n"
        "print(*names & {'pydicom', 'gdcm', 'openjpeg', 'rle', 'jpeg_ls', 'imagecodecs'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.csv")], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
