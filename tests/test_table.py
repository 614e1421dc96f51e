"""The table of images: what is read from which file or folder, and what is refused, and how."""

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pyarrow
import pyarrow.parquet
import pytest

from imil.data.table import Columns, check_masks, read_data
from imil.errors import DataError
from imil.images.load import load_image


def film(path, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("L", size, 9).save(path)
    return path


def table(folder, text, name="films.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def sentence(path, columns=None):
    """Why the data is refused: one sentence."""
    with pytest.raises(DataError) as caught:
        read_data(path, columns) if columns else read_data(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_csv_becomes_a_table(tmp_path):
    path = table(
        tmp_path,
        "image,label,class_name,split,patient,lung_mask,age\n"
        "films/a.png,1,TB,train,P1,masks/a.png,45\n"
        "/scans/b.png,0,normal,Validation,P2,,63\n"
        "films\\c.png,0,normal,TEST,P3,NA,\n",
    )
    data = read_data(path)
    assert len(data) == 3
    assert data.keys == ("films/a.png", "/scans/b.png", "films/c.png")
    assert data.images == (tmp_path / "films/a.png", Path("/scans/b.png"), tmp_path / "films/c.png")
    assert data.labels.dtype == np.int64
    assert data.labels.tolist() == [1, 0, 0]
    assert data.class_names == ("normal", "TB")
    assert data.splits == ("train", "val", "test")
    assert data.patients == ("P1", "P2", "P3")
    assert data.masks == {"lung_mask": (tmp_path / "masks/a.png", None, None)}


def test_optional_columns_may_be_missing(tmp_path):
    data = read_data(table(tmp_path, "image,label\na.png,0\nb.png,1\n"))
    assert (data.splits, data.patients, data.masks) == (None, None, {})
    assert data.class_names == ("0", "1")


def test_names_are_numbered_in_sorted_order(tmp_path):
    data = read_data(table(tmp_path, "image,label\na.png,TB\nb.png,none\nc.png,TB\n"))
    assert data.class_names == ("TB", "none")
    assert data.labels.tolist() == [0, 1, 0]


def test_columns_may_have_other_names(tmp_path):
    path = table(tmp_path, "file,diagnosis,who,lesion\na.png,x,1,\nb.png,y,2,m.png\n")
    data = read_data(path, Columns("file", "diagnosis", patient="who", masks=("lesion",)))
    assert data.class_names == ("x", "y")
    assert data.patients == ("1", "2")
    assert data.masks == {"lesion": (None, tmp_path / "m.png")}


@pytest.mark.parametrize(
    ("split", "patient", "mask"),
    [("Split", "Patient", "lesion mask"), (" SPLIT ", "pa-tient", "Lesion.Mask")],
)
def test_names_of_columns_are_compared_without_case_and_separators(tmp_path, split, patient, mask):
    text = f"Image,LABEL,{split},{patient},{mask}\na.png,0,train,P1,m.png\nb.png,1,test,P2,\n"
    data = read_data(table(tmp_path, text))
    assert data.splits == ("train", "test")
    assert data.patients == ("P1", "P2")
    assert list(data.masks.values()) == [(tmp_path / "m.png", None)]


@pytest.mark.parametrize(
    ("column", "looks_like", "flag"),
    [
        ("patient_id", "patient", "--patient-column"),
        ("PatientID", "patient", "--patient-column"),
        ("patients", "patient", "--patient-column"),
        ("pateint", "patient", "--patient-column"),
        ("data split", "split", "--split-column"),
        ("split_1", "split", "--split-column"),
        ("spilt", "split", "--split-column"),
        ("class", "class_name", "--class-name-column"),
        ("mask_lung", "lung_mask", "--mask-columns"),
        ("lesion_mask_path", "lesion_mask", "--mask-columns"),
    ],
)
def test_a_near_miss_of_an_optional_column_is_a_question(tmp_path, column, looks_like, flag):
    path = table(tmp_path, f"image,label,{column}\na.png,0,7\nb.png,1,8\n")
    message = sentence(path)
    assert f"column '{column}' looks like '{looks_like}': give {flag} " in message
    assert f"or {flag} none" in message
    field = {"--mask-columns": "masks", "--class-name-column": "class_name"}.get(flag, looks_like)
    data = read_data(path, Columns(**{field: ("none",) if field == "masks" else "none"}))
    assert (data.splits, data.patients, data.masks) == (None, None, {})


def test_columns_of_other_meanings_are_no_near_misses(tmp_path):
    text = "image,label,patient_age,Patient Sex,lesion,age,view,lung_area\na.png,0,1,F,0,1,AP,2\n"
    assert len(read_data(table(tmp_path, text + "b.png,1,1,F,0,1,AP,2\n"))) == 2
    text = "image,label,patient,patient_id\na.png,0,P1,7\nb.png,1,P2,8\n"
    assert read_data(table(tmp_path, text)).patients == ("P1", "P2")


@pytest.mark.parametrize("name", ["subject", "Subject ID", "subject_id", "pid", "PatNr", "MRN"])
def test_a_column_that_may_be_the_patient_is_a_question_where_it_matters(tmp_path, name):
    once = table(tmp_path, f"image,label,{name}\na.png,0,P1\nb.png,1,P2\nc.png,1,P3\n")
    assert read_data(once).patients is None  # the split is the same for all of them
    again = table(tmp_path, f"image,label,{name}\na.png,0,P1\nb.png,1,P2\nc.png,1,P1\n")
    message = sentence(again)
    assert f"column '{name}' may identify the patient, and 3 images have 2 values of it" in message
    assert read_data(again, Columns(patient="none")).patients is None
    assert read_data(again, Columns(patient=name)).patients == ("P1", "P2", "P1")
    beside = table(tmp_path, f"image,label,patient,{name}\na.png,0,A,P1\nb.png,1,B,P1\n")
    assert read_data(beside).patients == ("A", "B")


def test_a_column_of_splits_under_another_name_is_a_question(tmp_path):
    path = table(tmp_path, "image,label,subset\na.png,0,Train\nb.png,1,test\n")
    assert "column 'subset' holds test, train: give --split-column subset" in sentence(path)
    assert read_data(path, Columns(split="none")).splits is None
    assert read_data(path, Columns(split="subset")).splits == ("train", "test")
    numbers = table(tmp_path, "image,label,fold,sex\na.png,0,1,F\nb.png,1,2,F\nc.png,1,1,M\n")
    assert read_data(numbers).splits is None  # folds are no splits, and sex is no patient


def test_two_columns_of_one_name_but_for_case_are_refused(tmp_path):
    message = sentence(table(tmp_path, "image,label,Split,SPLIT\na.png,0,train,test\n"))
    assert "the columns 'Split' and 'SPLIT' are both read as 'split'" in message


def test_the_question_about_masks_keeps_the_masks_that_are_right(tmp_path):
    path = table(tmp_path, "image,label,lung_mask,lesion_masks\na.png,0,m.png,\nb.png,1,,\n")
    assert "give --mask-columns lesion_masks,lung_mask, or --mask-columns lung_mask to" in sentence(
        path
    )


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_spreadsheet_may_write_semicolons_tabs_and_a_byte_order_mark(tmp_path, separator):
    text = "\ufeffimage,label\na.png,0\n\nb.png,1\n".replace(",", separator)
    assert read_data(table(tmp_path, text)).keys == ("a.png", "b.png")


def test_a_first_line_may_declare_the_separator(tmp_path):
    for first, separator in (("sep=;", ";"), ('"sep=,"', ","), ("sep=\t", "\t"), ("SEP=|", "|")):
        text = f"\ufeff{first}\r\nimage,label\r\na.png,0\r\nb.png,1\r\n".replace(",", separator)
        if first == '"sep=,"':
            text = text.replace("\r\n", "\n")
        assert read_data(table(tmp_path, text)).keys == ("a.png", "b.png")


@pytest.mark.parametrize(
    "text",
    [
        "image,label,,\na.png,0,,\nb.png,1,,\n",
        "image,label,,\na.png,0,,\nb.png,1,,\n,,,\n,,,\n",
        "image,,label\na.png,,0\nb.png,,1\n",
        "image,label\na.png,0,,\nb.png,1\n",
        ",image,label\n0,a.png,0\n1,b.png,1\n",  # as pandas writes its index
        "image,label\na.png,0\n\u00a0,\u200b\nb.png,1\n",
        "\ufeffimage\u00a0,\u200blabel\n\u00a0a.png\u200b,0\u00a0\n\ufeffb.png, 1\u202f\n",
    ],
)
def test_empty_columns_and_what_cannot_be_seen_do_not_matter(tmp_path, text):
    data = read_data(table(tmp_path, text))
    assert data.keys == ("a.png", "b.png")
    assert data.labels.tolist() == [0, 1]


def test_the_line_of_a_fault_counts_a_declared_separator(tmp_path):
    assert "line 4 of" in sentence(table(tmp_path, "sep=;\nimage;label\na.png;0\nb.png\n"))


def test_cells_without_a_name_are_refused(tmp_path):
    message = sentence(table(tmp_path, "image,label,,\na.png,0,,\nb.png,1,train,\n"))
    assert "column 3 of" in message
    assert "has no name, but the cell 'train' in line 3" in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_in_a_sentence(tmp_path, encoding):
    (tmp_path / "films.csv").write_bytes("image\tlabel\na.png\t0\n".encode(encoding))
    assert "save it as CSV UTF-8" in sentence(tmp_path / "films.csv")


def test_what_cannot_be_seen_makes_no_second_class_split_or_patient(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Lähmung")
    text = (
        "image,label,split,patient\na.png,TB\u00a0alt,train,P\u200b1\nb.png,TB alt,train,P1\n"
        f"c.png,Lähmung,test,P2\nd.png,{decomposed},te\u200bst,P2\n"
    )
    data = read_data(table(tmp_path, text))
    assert data.class_names == ("Lähmung", "TB alt")
    assert data.splits == ("train", "train", "test", "test")
    assert data.patients == ("P1", "P1", "P2", "P2")


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_files_are_found_in_either_unicode_form(tmp_path, on_disk, in_table):
    names = ("Röntgen/á\u00a0b.png", "Röntgen/c d.png")
    for name in names:
        film(tmp_path / unicodedata.normalize(on_disk, name))
    cells = (names[0], names[1].replace(" ", "\u00a0"))
    rows = [f"{unicodedata.normalize(in_table, cell)},{i}" for i, cell in enumerate(cells)]
    data = read_data(table(tmp_path, "\n".join(["image,label", *rows])))
    assert data.keys == cells
    assert all(path.is_file() for path in data.images)


def test_class_folders_in_two_unicode_forms_are_one_class(tmp_path):
    for folder in ("train/Lähmung", unicodedata.normalize("NFD", "test/Lähmung")):
        film(tmp_path / folder / "a.png")
    film(tmp_path / "train/TB/b.png")
    film(tmp_path / "test/TB/c.png")
    data = read_data(tmp_path)
    assert data.class_names == ("Lähmung", "TB")
    assert all(path.is_file() for path in data.images)


def test_parquet_and_csv_give_the_same_table(tmp_path):
    frame = pd.DataFrame(
        {
            "image": ["a.png", "b.png", "c.png"],
            "label": [1.0, 0.0, 1.0],
            "split": pd.Categorical(["train", "train", "test"]),
            "patient": [7, 8, 9],
            "lung_mask": ["m.png", None, float("nan")],
        }
    )
    frame.to_parquet(tmp_path / "films.parquet")
    frame.to_csv(tmp_path / "films.csv", index=False)
    parquet, csv = read_data(tmp_path / "films.parquet"), read_data(tmp_path / "films.csv")
    assert parquet.labels.tolist() == csv.labels.tolist() == [1, 0, 1]
    assert parquet.patients == csv.patients == ("7", "8", "9")
    assert parquet.masks == csv.masks == {"lung_mask": (tmp_path / "m.png", None, None)}
    assert parquet.splits == csv.splits == ("train", "train", "test")


def test_rows_can_be_selected(tmp_path):
    data = read_data(
        table(
            tmp_path,
            "image,label,split,patient,lung_mask\n"
            "a.png,0,train,P,\nb.png,1,test,Q,m.png\nc.png,1,train,R,\n",
        )
    )
    part = data.select([2, 1])
    assert part.keys == ("c.png", "b.png")
    assert part.labels.tolist() == [1, 1]
    assert part.class_names == ("0", "1")
    assert part.splits == ("train", "test")
    assert part.patients == ("R", "Q")
    assert part.masks == {"lung_mask": (None, tmp_path / "m.png")}
    assert len(data.select([])) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("image,label\n", "has no row"),
        ("path,label\na.png,0\n", "no column 'image' but path, label"),
        ("image,label,label\na.png,0,1\n", "two columns 'label'"),
        ("image,label\na.png,0\nb.png,1,2\n", "line 3"),
        ("image,label\na.png,0\nb.png\n", "line 3"),
        ('image,label\n"a.png,0\n', "is not a valid CSV file"),
        ("image,label\na.png,0\n,1\n", "row 2 has no image"),
        ("image,label\na.png,0\nb.png,1\n./a.png,1\n", "row 3 ('a.png') has the same"),
        ("image,label\na.png,0\nb.png,\n", "row 2 ('b.png') has no label"),
        ("image,label\na.png,0\nb.png,NaN\n", "row 2 ('b.png') has no label"),
        ("image,label\na.png,0\nb.png,0.5\n", "row 2 ('b.png') has the label '0.5'"),
        ("image,label\na.png,0\nb.png,-1\n", "row 2 ('b.png') has the label '-1'"),
        ("image,label\na.png,0\nb.png,1e999\n", "row 2 ('b.png') has the label '1e999'"),
        ("image,label\na.png,0\nb.png,TB\n", "row 2 ('b.png') has the label 'TB'"),
        ("image,label\na.png,0\nb.png,2\n", "no row has the label 1 (the labels are 0, 2)"),
        ("image,label\na.png,1\nb.png,2\n", "no row has the label 0 (the labels are 1, 2)"),
        ("image,label\na.png,1\nb.png,1\n", "every row has the class '1'"),
        ("image,label\na.png,TB\nb.png,TB\n", "every row has the class 'TB'"),
        ("image,label,class_name\na.png,0,x\nb.png,1,y\nc.png,1,z\n", "'y' in row 2 ('b.png') and"),
        ("image,label,class_name\na.png,0,x\nb.png,1,x\n", "0 and 1 have the same class name"),
        ("image,label,class_name\na.png,0,x\nb.png,1,\n", "row 2 ('b.png') has no class name"),
        ("image,label,split\na.png,0,train\nb.png,1,holdout\n", "row 2 ('b.png') has the split"),
        ("image,label,split\na.png,0,train\nb.png,1,\n", "row 2 ('b.png') has no split"),
        ("image,label,patient\na.png,0,P\nb.png,1,\n", "row 2 ('b.png') has no patient"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_refused_with_row_and_value(tmp_path, text, message):
    assert message in sentence(table(tmp_path, text))


@pytest.mark.parametrize(
    "columns",
    [Columns(split="fold"), Columns(patient="fold"), Columns(masks=("lung_mask", "fold"))],
)
def test_a_column_that_is_named_must_exist(tmp_path, columns):
    message = sentence(table(tmp_path, "image,label\na.png,0\nb.png,1\n"), columns)
    assert "no column 'fold' but image, label" in message


def test_files_that_are_not_tables_are_refused(tmp_path):
    assert "does not exist" in sentence(tmp_path / "films.csv")
    assert "give .csv or .parquet" in sentence(table(tmp_path, "", "films.xlsx"))
    assert "not a Parquet" in sentence(table(tmp_path, "PAR1", "films.parquet"))
    (tmp_path / "latin.csv").write_bytes("image,label\nLöwe.png,0\n".encode("latin-1"))
    assert "UTF-8" in sentence(tmp_path / "latin.csv")


def test_a_folder_of_class_folders_is_a_table(tmp_path):
    for name in ("TB/b.png", "TB/deep/a.jpg", "normal/c.tiff", "normal/._c.tiff", "TB/Thumbs.db"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / ".cache").mkdir()
    data = read_data(tmp_path)
    assert data.keys == ("TB/b.png", "TB/deep/a.jpg", "normal/c.tiff")
    assert data.class_names == ("TB", "normal")
    assert data.labels.tolist() == [0, 0, 1]
    assert data.images[1] == tmp_path / "TB/deep/a.jpg"
    assert data.splits is None


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ("films.csv", "holds a table beside folders: give the table itself"),
        ("normal/lung_masks/a.png", "would be trained on as if it contained films"),
        ("masks/a.png", "would be trained on as if it contained films"),
        ("train/normal/a.png", "lies beside the split 'train'"),
        ("normal/b.bmp", "b.bmp' has an unsupported format: save it as one of .png"),
        ("c.jpg", "c.jpg' lies beside the folders of the classes: move it into"),
        ("d.dcm", "d.dcm' lies beside the folders of the classes: move it into"),
    ],
)
def test_files_that_would_be_mistaken_for_a_class_or_left_out_are_refused(tmp_path, odd, message):
    for name in ("normal/a.png", "TB/b.png", odd):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert message in sentence(tmp_path)


@pytest.mark.parametrize("stray", ["a.png", "test/a.png"])
def test_images_beside_the_classes_of_a_split_are_refused(tmp_path, stray):
    for name in ("train/TB/a.png", "train/normal/b.png", "test/TB/c.png", stray):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert "a.png' lies beside the folders of the classes" in sentence(tmp_path)


@pytest.mark.parametrize("name", ["R\udcf6ntgen.png", "a\rb.png", "a\nb.png"])
def test_a_file_name_that_no_table_can_hold_is_refused(tmp_path, name):
    for film in ("TB/a.png", f"normal/{name}"):
        (tmp_path / film).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / film).touch()
    assert "is not UTF-8, or has a line break: rename the file or folder" in sentence(tmp_path)


def classes(folder, *more):
    """A film in each of two class folders, and empty files at the paths given."""
    for name in ("normal/a.png", "TB/b.png"):
        film(folder / name)
    for name in more:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("link", ["TB/c.png", "TB/c.dcm", "TB/more", "nodule", "README.txt"])
def test_a_link_to_nothing_is_refused_by_name(tmp_path, link):
    (classes(tmp_path) / link).symlink_to("../.git/annex/objects/a.png")
    message = sentence(tmp_path)
    assert f"'{tmp_path / link}' is a link to '../.git/annex/objects/a.png'" in message
    assert "fetch the file" in message


def test_a_link_in_a_loop_is_refused_by_name(tmp_path):
    (classes(tmp_path) / "TB/c.png").symlink_to("c.png")
    assert "c.png' is a link to 'c.png', which cannot be followed" in sentence(tmp_path)


def test_linked_folders_and_files_are_read(tmp_path):
    classes(tmp_path / "films")
    for name in ("nodule/c.png", "more/deep/d.png", "e.png"):
        film(tmp_path / "store" / name)
    for link, target in (("nodule", "nodule"), ("TB/more", "more"), ("TB/e.png", "e.png")):
        (tmp_path / "films" / link).symlink_to(tmp_path / "store" / target)
    assert read_data(tmp_path / "films").keys == (
        *("TB/b.png", "TB/e.png", "TB/more/deep/d.png"),
        *("nodule/c.png", "normal/a.png"),
    )


@pytest.mark.parametrize("target", [".", "..", "../TB", "../normal"])
def test_a_folder_that_a_link_would_have_read_twice_is_refused(tmp_path, target):
    (classes(tmp_path) / "TB/again").symlink_to(target)
    message = sentence(tmp_path)
    assert "TB/again" in message
    assert "remove the link" in message


@pytest.mark.parametrize(
    ("kind", "name"),
    [("PNG", "c.PNG_"), ("PNG", "c"), ("JPEG", "c.jfif"), ("JPEG", "c.txt"), ("TIFF", "c.img")],
)
def test_an_image_with_an_unusual_ending_is_known_by_its_content(tmp_path, kind, name):
    PIL.Image.new("L", (8, 6), 9).save(classes(tmp_path) / "TB" / name, format=kind)
    data = read_data(tmp_path)
    assert f"TB/{name}" in data.keys
    assert load_image(data.images[data.keys.index(f"TB/{name}")]).shape == (6, 8)


@pytest.mark.parametrize("name", ["notes.txt", "a.json", ".DS_Store", "Thumbs.db", "LICENSE"])
def test_a_file_that_is_known_to_be_harmless_is_not_read(tmp_path, name):
    data = read_data(classes(tmp_path, name, f"TB/{name}", f"TB/deep/{name}"))
    assert data.keys == ("TB/b.png", "normal/a.png")


@pytest.mark.parametrize("name", ["TB/c.zip", "TB/c", "TB/c.exr", "films.tar", "TB/c.nii.gz"])
def test_a_file_that_is_not_known_is_refused_by_name(tmp_path, name):
    assert f"'{tmp_path / name}' " in sentence(classes(tmp_path, name))


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    columns = [pyarrow.array(["a.png"]), pyarrow.array([0]), pyarrow.array([1])]
    twice = pyarrow.Table.from_arrays(columns, names=["image", "label", "label"])
    pyarrow.parquet.write_table(twice, tmp_path / "films.parquet")
    assert "two columns 'label'" in sentence(tmp_path / "films.parquet")


def test_a_zero_byte_in_a_path_is_refused(tmp_path):
    assert "1 has the path 'a\\x00.png'" in sentence(table(tmp_path, "image,label\na\0.png,0\n"))


def test_class_folders_whose_names_are_numbers_are_names(tmp_path):
    film(tmp_path / "1/a.png")
    film(tmp_path / "3/b.png")
    assert read_data(tmp_path).class_names == ("1", "3")


def test_class_folders_may_lie_in_folders_of_splits(tmp_path):
    for name in ("train/x/a.png", "train/y/a.png", "test/y/b.png", "test/x/c.png"):
        film(tmp_path / name)
    data = read_data(tmp_path)
    assert data.keys == ("test/x/c.png", "test/y/b.png", "train/x/a.png", "train/y/a.png")
    assert data.class_names == ("x", "y")
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert data.splits == ("test", "test", "train", "train")


def test_folders_without_images_are_refused(tmp_path):
    assert "no folder of images for each class" in sentence(tmp_path)
    film(tmp_path / "TB/a.png")
    assert "every row has the class 'TB'" in sentence(tmp_path)
    (tmp_path / "normal").mkdir()
    assert f"'{tmp_path / 'normal'}' contains no image" in sentence(tmp_path)
    table(tmp_path, "")
    assert f"give the table itself, {tmp_path / 'films.csv'}" in sentence(tmp_path)


@pytest.mark.parametrize("stem", ["CHNCXR", "MCUCXR"])
def test_shenzhen_and_montgomery_are_read_as_they_are_distributed(tmp_path, stem):
    for name in (f"{stem}_0327_1.png", f"{stem}_0001_0.png", "Thumbs.db"):
        film(tmp_path / "CXR_png" / f"{name}.png").rename(tmp_path / "CXR_png" / name)
    table(tmp_path, "male 45yrs\nnormal\n", f"{stem}_0001_0.txt")
    for folder, prefix in ((tmp_path, "CXR_png/"), (tmp_path / "CXR_png", "")):
        data = read_data(folder)
        assert data.keys == (f"{prefix}{stem}_0001_0.png", f"{prefix}{stem}_0327_1.png")
        assert data.labels.tolist() == [0, 1]
        assert data.class_names == ("normal", "TB")
        assert all(path.is_file() for path in data.images)


def test_a_film_without_a_label_in_its_name_is_refused(tmp_path):
    film(tmp_path / "CXR_png/CHNCXR_0001_0.png")
    film(tmp_path / "CXR_png/CHNCXR_0001_0_mask.png")
    assert "CHNCXR_0001_0_mask.png' is not named as" in sentence(tmp_path)


def test_masks_must_exist_and_have_the_size_of_their_image(tmp_path):
    for name in "abcde":
        film(tmp_path / f"{name}.png")
    film(tmp_path / "fits.png")
    film(tmp_path / "wide.png", size=(9, 6))
    rows = [("a", "fits.png"), ("b", ""), ("c", "wide.png"), ("d", "gone.png"), ("e", "fits.png")]
    lines = [f"{name}.png,{i % 2},{mask}" for i, (name, mask) in enumerate(rows)]
    path = table(tmp_path, "\n".join(["image,label,lung_mask", *lines]))
    data = read_data(path)
    check_masks(data.select([0, 1, 4]))
    with pytest.raises(DataError) as caught:
        check_masks(data)
    message = str(caught.value)
    assert "2 of 4 masks in 'lung_mask'" in message
    assert "wide.png' has 6×9 pixels, its image 6×8" in message
    assert "gone.png' does not exist" in message


def test_the_real_set_is_read(tmp_path, shenzhen):
    data = read_data(shenzhen / "manifest.csv")
    assert np.bincount(data.labels).tolist() == [326, 336]
    assert data.class_names == ("normal", "TB")
    assert sum(mask is not None for mask in data.masks["lung_mask"]) == 566
    assert sum(mask is not None for mask in data.masks["lesion_mask"]) == 330
    check_masks(data)

    (tmp_path / "CXR_png").mkdir()  # the same, laid out as the official download
    for path in data.images:
        (tmp_path / "CXR_png" / f"{path.stem}.png").symlink_to(path)
    official = read_data(tmp_path)
    assert official.labels.tolist() == data.labels.tolist()
    assert official.class_names == data.class_names
