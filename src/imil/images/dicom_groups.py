"""What the functional groups of an enhanced DICOM file say about one of its frames."""

from __future__ import annotations

from typing import Any

GROUPS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
# PS3.3 C.7.6.16: what is at the top of a file of one frame is in these, of all frames or of each
MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "FrameAnatomySequence": ("FrameLaterality",),
}
OTHER_NAMES = {"FrameLaterality": "ImageLaterality"}


def of_frame(dataset: Any, index: int) -> Any:
    """The data set, with what its functional groups say about a frame at the top.

    Args:
        dataset: it is changed.
        index: of the frame, from 0.
    """
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    each = dataset.get("PerFrameFunctionalGroupsSequence") or []
    groups = [*shared[:1], *each[index : index + 1]]  # a frame's own overrides
    for group in groups:
        for sequence, names in MACROS.items():
            macro = group.get(sequence) or []
            for name in names:
                if macro and (value := macro[0].get(name)) is not None:
                    setattr(dataset, OTHER_NAMES.get(name, name), value)
    return dataset
