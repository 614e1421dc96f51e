"""Readings in the formats of other tools, and back: the same answers, whatever the format."""

import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from rooms import KEY, add_round
from typer.testing import CliRunner

from imil.cases import Reading
from imil.cli.main import app
from imil.errors import DataError
from imil.exports.answers import answers, safe_names
from imil.exports.label_studio import INTERFACE
from imil.grid import Grid
from imil.readers.marks import Marks, Pixels, Polygon
from imil.readers.replay import replay
from imil.store import Store
from imil.store.audit import newest

GRIDS = [Grid(4, 4), Grid(3, 5), Grid(7, 1)]
FILES = {
    "csv": "r.csv",
    "json": "r.json",
    "parquet": "r.parquet",
    "coco": "r.json",
    "label-studio": "r.json",
    "masks-png": "masks",
    "masks-nifti": "masks",
}
HOSTILE = "=1+1\x1b[2J\u202e <b>größer</b>"


def film(number):
    """35 × 43 pixels, which no grid of the tests divides."""
    return np.random.default_rng(number).integers(5, 250, (35, 43)).astype(np.uint8)


def given_readings(grid):
    """Number of the case, reader, verdict, squares, misleading squares, reason; oldest first."""
    last = grid.squares
    return [
        (1, "Lee", "focus", (1,), (), "an earlier answer"),
        (1, "Lee", "focus", (2, last), (1,), HOSTILE),
        (1, "Wu", "focus", (), (1, 3), ""),
        (2, "Lee", "skip", (), (), ""),
        (2, "Dr. Wu/Kim", "wrong label", (), (), "left and right"),
        (3, "Lee", "focus", tuple(range(1, last + 1)), (), ""),
        (3, "Wu", "not assessable", (), (), ""),
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Grid -> the folder of a run with a round, and its cases; stores take a while to make."""
    return {grid: make_run(tmp_path_factory.mktemp("run"), grid) for grid in GRIDS}


@pytest.fixture
def run(runs):
    """The folder of a run with a round, and its cases."""
    return runs[Grid(3, 5)]


def make_run(folder, grid):
    store = Store(folder / "imil.sqlite")
    add_round(store, grid=grid, film=film)
    for number, reader, verdict, squares, misleading, reason in given_readings(grid):
        store.add(
            Reading(f"films@70#{number}", reader, verdict, squares, reason, 2.5, None, misleading)
        )
    cases = store.cases("films@70")
    store.close()
    return folder, cases


def export(folder, kind, to, *options):
    out = to / kind / FILES.get(kind, kind)
    result = CliRunner().invoke(
        app, ["export", str(folder), "--as", kind, "--out", str(out), *options]
    )
    assert result.exit_code == 0, result.output
    return out


def content(readings):
    """All of the readings that formats of other tools hold, in any order."""
    return {
        (one.case, one.reader, one.verdict, one.squares, one.misleading, one.reason)
        for one in readings
    }


def newest_answers(grid):
    of_readers = {(one[0], one[1]): one for one in given_readings(grid)}
    return {(f"films@70#{one[0]}", *one[1:]) for one in of_readers.values()}


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("kind", FILES)
def test_every_format_that_is_replayed_gives_the_same_answers(runs, tmp_path, kind, grid):
    folder, cases = runs[grid]
    if kind == "masks-nifti":
        pytest.importorskip("nibabel")
    out = export(folder, kind, tmp_path)
    replayed = list(replay(out)(cases))
    assert content(replayed) == newest_answers(cases[0].grid)
    if kind != "label-studio":  # which has no place for it
        assert {one.seconds for one in replayed} == {2.5}
    store = Store(folder / "imil.sqlite")
    exports = {one.detail for one in newest(store, "films") if one.what == "export"}
    store.close()
    assert f"readings, as {kind}" in exports


def test_no_file_has_what_a_terminal_or_a_spreadsheet_would_run(run, tmp_path):
    folder, _ = run
    for kind in ("coco", "label-studio", "masks-png", "fiftyone"):
        out = export(folder, kind, tmp_path)
        for path in [out] if out.is_file() else out.iterdir():
            assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name)
            if path.suffix in (".json", ".csv"):
                text = path.read_text(encoding="utf-8")
                if path.suffix == ".json":
                    assert not set(text) & {"\x1b", "\u202e"}
                assert not re.search(r"(^|,)\"?=1", text, re.MULTILINE)


def test_coco_has_boxes_polygons_and_areas_in_pixels(tmp_path):
    store = Store(tmp_path / "imil.sqlite")
    add_round(store, grid=Grid(2, 2), film=lambda _: np.zeros((10, 20), np.uint8) + np.uint8(1))
    store.add(Reading("films@70#1", "Lee", "focus", (1, 4), misleading=(2,)))
    store.close()
    document = json.loads(export(tmp_path, "coco", tmp_path).read_text())
    assert document["images"] == [
        {"id": 1, "file_name": f"{KEY}/films/1", "height": 10, "width": 20}
    ]
    names = {one["id"]: one["name"] for one in document["categories"]}
    first, second = document["annotations"]
    assert names[first["category_id"]] == "relevant"
    assert first["bbox"] == [0, 0, 20, 10]
    assert first["area"] == 100
    assert first["segmentation"] == [
        [0, 0, 10, 0, 10, 5, 0, 5],
        [10, 5, 20, 5, 20, 10, 10, 10],
    ]
    assert (names[second["category_id"]], second["bbox"]) == ("misleading", [10, 0, 10, 5])
    attributes = first["attributes"]
    assert (attributes["reader"], attributes["verdict"], attributes["misleading"]) == (
        "Lee",
        "focus",
        False,
    )


def test_masks_are_255_in_the_selected_squares_and_have_the_size_of_the_image(run, tmp_path):
    folder, cases = run
    out = export(folder, "masks-png", tmp_path)
    grid = cases[0].grid
    with Pillow.open(next(out.glob("070-001-*-Lee.png"))) as picture:
        assert picture.mode == "L"
        mask = np.array(picture)
    expected = grid.mask((2, grid.squares), 35, 43)
    np.testing.assert_array_equal(mask, np.where(expected, 255, 0))
    with Pillow.open(next(out.glob("070-001-*-Lee-misleading.png"))) as picture:
        np.testing.assert_array_equal(np.array(picture) > 0, grid.mask((1,), 35, 43))


def test_a_nifti_mask_has_rows_and_columns_as_image_files_have_them(run, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    folder, cases = run
    image = nibabel.load(next(export(folder, "masks-nifti", tmp_path).glob("070-001-*-Lee.nii.gz")))
    assert image.shape == (43, 35, 1)
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    values = np.asanyarray(image.dataobj)[..., 0].T
    grid = cases[0].grid
    np.testing.assert_array_equal(values, 255 * grid.mask((2, grid.squares), 35, 43))


def test_label_studio_has_rectangles_in_percent_for_the_labels_of_its_interface(tmp_path):
    store = Store(tmp_path / "imil.sqlite")
    add_round(store, grid=Grid(2, 4), film=film)
    store.add(Reading("films@70#2", "Lee", "focus", (7,), misleading=(1,)))
    store.close()
    out = export(tmp_path, "label-studio", tmp_path, "--image-prefix", "https://films.example/")
    [task] = json.loads(out.read_text())
    assert task["data"]["image"] == f"https://films.example/{KEY}/films/2"
    [prediction] = task["predictions"]
    relevant, misleading, verdict = prediction["result"]
    value = relevant["value"]
    place = [value[name] for name in ("x", "y", "width", "height")]
    # of 43 × 35 pixels: columns 22 to 32, rows 18 to 35
    assert place == pytest.approx([2200 / 43, 1800 / 35, 1000 / 43, 1700 / 35])
    assert misleading["value"]["rectanglelabels"] == ["misleading"]
    assert verdict["value"] == {"choices": ["focus"]}
    for result in prediction["result"]:
        assert f'name="{result["from_name"]}"' in INTERFACE


def test_fiftyone_gets_boxes_in_shares_and_the_files_of_the_images(run, tmp_path):
    folder, cases = run
    out = export(folder, "fiftyone", tmp_path)
    files, labels = (json.loads((out / name).read_text()) for name in ("data.json", "labels.json"))
    assert set(files) == set(labels["labels"])
    assert list(files.values()) == [case.key for case in cases]
    detections = labels["labels"]["000002"]
    assert [(one["label"], one["bounding_box"]) for one in detections] == [
        ("skip", [0, 0, 1, 1]),
        ("wrong label", [0, 0, 1, 1]),
    ]
    boxes = np.array([one["bounding_box"] for one in labels["labels"]["000003"]])
    whole = boxes[:-1] if len(boxes) > cases[0].grid.squares else boxes
    assert np.sum(whole[:, 2] * whole[:, 3]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--as", "parquet"], "name the file to write with --out"),
        (["--as", "masks-png"], "name the folder to write with --out"),
        (["--as", "masks-png", "--out", "."], "not an empty folder"),
        (["--as", "coco", "--full-size"], "no effect"),
        (["--as", "csv", "--image-prefix", "x"], "no effect"),
        (["--as", "images", "--out", "new"], "needs the folder of one run"),
    ],
)
def test_an_export_that_cannot_be_made_says_why(run, monkeypatch, arguments, message):
    folder, _ = run
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, ["export", str(folder), *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_names_of_files_are_safe_and_differ():
    names = safe_names(["a/b.png", "c/B.png", "../../etc/passwd", "", "b-1", "\x1b[2J", "x" * 300])
    assert len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,90}", name) for name in names)


def test_an_image_that_the_store_lost_is_named(tmp_path):
    store = Store(tmp_path / "imil.sqlite")
    add_round(store)
    store.add(Reading("films@70#1", "Lee", "skip"))
    with store.write() as db:
        db.exec_driver_sql("PRAGMA foreign_keys = OFF")
        db.exec_driver_sql("UPDATE images SET shape = 'null'")
    with pytest.raises(Exception, match=r"lacks the image of case 1"):
        answers(store, "films")
    store.close()


# --- marks of other tools -----------------------------------------------------------------


def save(tmp_path, document, name="r.json"):
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return path


def coco(*annotations, **more):
    image = {"id": 7, "file_name": "a/film-1.png", "width": 100, "height": 200}
    return {
        "images": [image],
        "annotations": [{"image_id": 7, **one} for one in annotations],
    } | more


def squares_of(path, grid=Grid(4, 4), **options):
    [row] = replay(path, **options).rows
    reading = row.on(grid)
    return reading.squares, reading.misleading


def test_a_box_selects_the_squares_of_which_it_covers_the_share(tmp_path):
    # a square is 25 × 50 pixels: the first is covered, the second to 40 %
    path = save(tmp_path, coco({"bbox": [0, 0, 35, 50]}))
    assert squares_of(path) == ((1,), ())
    assert squares_of(path, share=0.4) == ((1, 2), ())
    assert squares_of(path, share=0.41) == ((1,), ())
    path = save(tmp_path, coco({"bbox": [30, 10, 5, 5]}))
    with pytest.raises(DataError, match=r"cover less than 50% of every square.*share=0.1"):
        squares_of(path)


def test_boxes_that_cover_a_square_only_together_select_it(tmp_path):
    path = save(tmp_path, coco({"bbox": [0, 0, 10, 50]}, {"bbox": [10, 0, 5, 50]}))
    assert squares_of(path) == ((1,), ())


def test_a_polygon_counts_before_its_box(tmp_path):
    triangle = [0, 0, 100, 0, 0, 200]
    path = save(tmp_path, coco({"bbox": [0, 0, 100, 200], "segmentation": [triangle]}))
    # of the squares on its long side it covers half
    assert squares_of(path, share=0.6) == ((1, 2, 3, 5, 6, 9), ())
    assert squares_of(path, share=0.45) == ((1, 2, 3, 4, 5, 6, 7, 9, 10, 13), ())


def as_counts(mask):
    """COCO's run lengths: column by column, the first of zeros."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [2]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


def as_text(counts):
    """COCO's compressed form, as `rleToString` of its C code makes it."""
    text = ""
    for i, run in enumerate(counts):
        value, more = run - (counts[i - 2] if i > 2 else 0), True
        while more:
            code = value & 0x1F
            value >>= 5
            more = value != -1 if code & 0x10 else value != 0
            text += chr((code | (0x20 if more else 0)) + 48)
    return text


@pytest.mark.parametrize("form", [list, as_text])
def test_run_lengths_are_read_in_both_forms(tmp_path, form):
    rng = np.random.default_rng(0)
    mask = Grid(4, 4).mask((3, 4, 10), 200, 100) ^ (rng.random((200, 100)) < 0.2)
    segmentation = {"size": [200, 100], "counts": form(as_counts(mask))}
    path = save(tmp_path, coco({"segmentation": segmentation, "iscrowd": 1}))
    assert squares_of(path) == ((3, 4, 10), ())


def test_readers_rounds_and_categories_of_coco_are_told_apart(tmp_path):
    document = coco(
        {"bbox": [0, 0, 25, 50], "category_id": 3, "attributes": {"reader": "Lee"}},
        {"bbox": [25, 0, 25, 50], "category_id": 4, "attributes": {"reader": "Lee"}},
        {"bbox": [50, 0, 25, 50], "category_id": 3, "attributes": {"reader": "Wu", "epoch": 70}},
        categories=[{"id": 3, "name": "nodule"}, {"id": 4, "name": "Misleading"}],
    )
    rows = replay(save(tmp_path, document)).rows
    read = [(row.reader, row.epoch, row.on(Grid(4, 4))) for row in rows]
    assert [(who, when, one.squares, one.misleading) for who, when, one in read] == [
        ("Lee", None, (1,), (2,)),
        ("Wu", 70, (3,), ()),
    ]


def test_what_a_person_annotated_in_label_studio_counts_before_predictions(tmp_path):
    def rectangle(x, label="relevant", rotation=0):
        value = {"x": x, "y": 0, "width": 25, "height": 25, "rotation": rotation}
        value["rectanglelabels"] = [label]
        sizes = {"original_width": 100, "original_height": 100}
        return {"type": "rectanglelabels", "value": value, **sizes}

    task = {
        "data": {"image": "/data/upload/3/0a1b2c3d-film-1.png"},
        "annotations": [
            {
                "completed_by": {"email": "lee@example.org"},
                "result": [rectangle(0), rectangle(50, "misleading")],
            },
            {
                "completed_by": 5,
                "result": [{"type": "choices", "value": {"choices": ["wrong label"]}}],
            },
            {"was_cancelled": True, "result": []},
        ],
        "predictions": [{"model_version": "Kim", "result": [rectangle(75)]}],
    }
    path = save(tmp_path, [task])
    rows = replay(path, keys=["films/film-1.jpg", "films/film-2.jpg"]).rows
    read = [(row.key, row.reader, row.on(Grid(4, 4))) for row in rows]
    assert [(key, who, one.verdict, one.squares, one.misleading) for key, who, one in read] == [
        ("films/film-1.jpg", "lee@example.org", "focus", (1,), (3,)),
        ("films/film-1.jpg", "user 5", "wrong label", (), ()),
    ]
    # a quarter turn about the upper left corner, which is at 50 %
    task["annotations"] = [{"completed_by": 1, "result": [rectangle(50, rotation=90)]}]
    assert squares_of(save(tmp_path, [task])) == ((2,), ())


def test_masks_alone_belong_to_the_images_of_the_same_name(tmp_path):
    masks = tmp_path / "masks"
    (masks / "left").mkdir(parents=True)
    Pillow.fromarray(Grid(4, 4).mask((5, 6), 40, 40)).save(masks / "left" / "film-1.png")
    Pillow.fromarray(np.zeros((40, 40), np.uint8)).save(masks / "film-2.png")
    reader = replay(masks, keys=["films/film-1.jpg", "films/film-2.jpg"])
    read = {row.key: row.on(Grid(4, 4)) for row in reader.rows}
    assert read["films/film-1.jpg"].squares == (5, 6)
    assert read["films/film-2.jpg"].verdict == "skip"
    with pytest.raises(DataError, match=r"may be 'a/film-2.png' or 'b/film-2.png'"):
        replay(masks, keys=["a/film-2.png", "b/film-2.png"])


def test_a_table_of_squares_belongs_to_the_samples_of_its_keys_alone(tmp_path):
    (tmp_path / "r.csv").write_text("key,squares\nfilm-1.png,1\n")
    [row] = replay(tmp_path / "r.csv", keys=["films/film-1.png"]).rows
    assert row.key == "film-1.png"


BOX = {"bbox": [0, 0, 25, 50]}
RUNS = {"size": [200, 100]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"images": [], "annotations": [{"image_id": 1}]}, "annotation 1: there is no image 1"),
        ({"images": 5, "annotations": []}, "not a valid COCO file"),
        ({"images": [{"id": 1}], "annotations": [{"image_id": 1, **BOX}]}, "not a valid COCO"),
        (coco({"bbox": [0, 0, 1]}), "not a valid COCO file"),
        (coco({}), "neither a segmentation nor a bbox"),
        (coco({"segmentation": [[1, 2, 3]]}), "a polygon of 3 numbers"),
        (coco({"segmentation": RUNS | {"counts": [5]}}), "do not add up"),
        (coco({"segmentation": RUNS | {"counts": "\x7f"}}), "damaged run lengths"),
        (coco({"segmentation": {"size": [10**6, 10**6], "counts": [1]}}), "expected at most"),
        (coco(BOX | {"attributes": {"verdict": "maybe"}}), "invalid verdict 'maybe'"),
        (coco(BOX | {"attributes": {"epoch": -1}}), "epoch is '-1'"),
        ([{"data": {}, "annotations": [{"result": 5}]}], "not a valid export of Label Studio"),
        ([{"data": {"image": "a"}, "annotations": [{"result": []}]}], "neither a mark nor"),
        (
            [
                {
                    "data": {"image": "a"},
                    "predictions": [{"result": [{"type": "brush", "value": {}}]}],
                }
            ],
            "only rectangles and polygons",
        ),
        ([], "no reading for the round"),
        ("text", "not a JSON list"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_in_one_sentence(tmp_path, document, message):
    with pytest.raises(DataError, match=re.escape(message)) as error:
        replay(save(tmp_path, document)).usable([70], Grid(4, 4))
    assert "\n" not in str(error.value)


def test_a_folder_of_masks_that_cannot_be_used_says_why(tmp_path):
    with pytest.raises(DataError, match="has no masks"):
        replay(tmp_path)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + zlib.compress(b"x"))
    with pytest.raises(DataError, match="is damaged"):
        replay(tmp_path)
    table = tmp_path / "readings.csv"
    table.write_text("key,mask\nfilm-1,../../secret.png\n")
    with pytest.raises(DataError, match=r"row 2: there is no mask '../../secret.png'"):
        replay(tmp_path)
    table.write_text("key\nfilm-1\n")
    with pytest.raises(DataError, match="has no 'mask'"):
        replay(tmp_path)


def test_marks_of_both_kinds_on_one_square_are_refused(tmp_path):
    one = {"bbox": [0, 0, 25, 50]}
    path = save(tmp_path, coco(one, one | {"attributes": {"misleading": True}}))
    with pytest.raises(DataError, match="squares 1 are both selected and misleading"):
        squares_of(path)


def test_a_mask_with_a_hole_covers_what_the_even_odd_rule_says():
    outer, inner = Polygon.box(0, 0, 1, 1), Pixels(~Grid(2, 2).mask((1, 2, 3), 10, 10))
    assert Marks((outer,)).squares(Grid(2, 2)) == ((1, 2, 3, 4), ())
    assert Marks((inner,)).squares(Grid(2, 2)) == ((4,), ())
    ring = Polygon(((0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0, 0.5), (0.5, 0.5), (0.5, 0), (0, 0)))
    assert Marks((ring,)).squares(Grid(2, 2)) == ((2, 3, 4), ())
