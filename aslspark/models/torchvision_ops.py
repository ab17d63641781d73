"""torchvision's networks, importable beside a CPU build of torch. Only this module imports torchvision.

torchvision's wheel is linked against CUDA. Without CUDA its operators are not declared, and the import fails at the
first one. Declaring two of them is enough, since no network here calls them.
"""

from __future__ import annotations

import torch

try:
    from torchvision import models
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import models

__all__ = ["models"]
