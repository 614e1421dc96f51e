"""Settings of the data: where they are, how they are split, and what their columns are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imil.settings.fields import Fields, setting

if TYPE_CHECKING:
    from imil.data.table import Columns


class DataFields(Fields):
    """Panel Data."""

    data: str = setting(
        "Data",
        ...,
        "A table of images (CSV or Parquet), a folder with one folder per class, or the "
        "Shenzhen or Montgomery folder as it is distributed.",
        "films.csv",
    )
    test_share: float = setting(
        "Data", 0.2, "Share of the images held out for testing.", "0.25", gt=0, lt=1
    )
    val_share: float = setting(
        "Data", 0.0, "Share of the images held out for validation.", "0.1", ge=0, lt=1
    )
    skip_bad: bool = setting("Data", False, "Leave out unreadable images, and list them.", "true")
    check_burned_in: bool = setting(
        "Data", False, "Report images that say or seem to have text in their pixels.", "true"
    )
    image_column: str = setting("Data", "image", "Column of image paths.", "file")
    label_column: str = setting("Data", "label", "Column of labels.", "finding")
    split_column: str = setting(
        "Data", "split", "Column of train, val, test, if there is one.", "fold"
    )
    patient_column: str = setting(
        "Data",
        "patient",
        "Column of patients, if there is one: no patient is in two splits.",
        "patient_id",
    )
    class_name_column: str = setting(
        "Data", "class_name", "Column of class names, if there is one.", "diagnosis"
    )
    mask_columns: tuple[str, ...] = setting(
        "Data",
        ("lesion_mask", "lung_mask"),
        "Columns of mask files for the simulated reader, best first.",
        "lesion_mask,lung_mask",
    )

    def columns(self) -> Columns:
        """The names of the table's columns."""
        from imil.data.table import Columns  # here: it needs NumPy

        return Columns(
            image=self.image_column,
            label=self.label_column,
            split=self.split_column,
            patient=self.patient_column,
            class_name=self.class_name_column,
            masks=self.mask_columns,
        )
