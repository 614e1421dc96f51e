"""torchvision and timm, also where torchvision's compiled part does not fit torch.

A CPU build of torch beside the torchvision that package indexes carry (built for CUDA) is
common. Its Python part needs none of the compiled operators for models and transforms, but
its import stops at two operators that were never declared. Declaring their signatures first
lets the import through; calling them still fails, as it should.
"""

from __future__ import annotations

import sys

import torch

_DECLARED: list[torch.library.Library] = []  # a declaration lives as long as its library object


def import_torchvision() -> None:
    """Import torchvision if it is there, declaring missing operators if that is what stops it."""
    try:
        import torchvision
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
        import torchvision  # noqa: F401
