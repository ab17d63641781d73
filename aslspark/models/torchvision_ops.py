"""torchvision's networks, made to import beside a CPU build of torch: nothing else here imports torchvision.

torchvision's wheel is linked against CUDA: without it the library's own operators stay undeclared, and the import
stops at the first that it looks for. Declaring the two by hand is enough, since no network here calls them.
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
