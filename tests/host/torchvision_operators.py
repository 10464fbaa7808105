"""Lets torchvision import beside a torch that its compiled part does not fit, for servers, the demo and benchmarks.

A CPU torch beside a CUDA build of torchvision cannot load that part, and torchvision's import then fails on two
operators that an image run never calls. Declaring them is enough. Where torchvision imports, nothing is changed.
"""

import functools
import sys

import torch

MISSING_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@functools.cache  # the declarations die with the library, so it is kept
def declare_torchvision_operators():
    """The library that holds the declarations, or None where torchvision imports by itself."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return None
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # what the failed import left behind
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in MISSING_OPERATORS:
        library.define(schema)
    return library
