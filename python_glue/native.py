"""Loads the native module `_native` on first use, never when the pack is imported.

ComfyUI drops a whole pack whose import fails, so a module that is missing or built for another torch must not be
touched before a node runs; then the node says what is wrong and what to do.
"""

import functools
import importlib
import json
import platform
import re
from pathlib import Path
from types import ModuleType

import torch

from .source_digest import source_digest

BUILD_INFO = Path(__file__).with_name("build_info.json")
CURE = "run `python install.py` in the folder of ComfyUI-ASDM with the Python of your ComfyUI, then restart ComfyUI"


@functools.cache
def native_module() -> ModuleType:
    """The loaded module. Raises RuntimeError that names cause and cure where it cannot be used."""
    fault = installed_fault()
    if fault is not None:
        raise RuntimeError(f"ComfyUI-ASDM: {fault}; {CURE}")
    try:
        return importlib.import_module("._native", __package__)
    except ImportError as error:
        raise RuntimeError(f"ComfyUI-ASDM: the native module cannot be loaded ({error}); {CURE}") from error


def installed_fault() -> str | None:
    """Why the module that is installed cannot run here, None where it can."""
    return build_fault(_read_build_info(), torch.__version__, platform.python_version(), source_digest())


def build_fault(built: dict | None, torch_version: str, python_version: str, sources: str | None) -> str | None:
    """Why a module built as `built` says cannot run here, None where it can. `sources`: the digest of those that lie
    here; None in a wheel, which has none and is replaced as a whole.

    C++ built against one torch must not meet another: at best the import fails, at worst memory is misread.
    """
    if built is None:
        return "the native module is not built"
    if _digits(built["torch"], 3) != _digits(torch_version, 3):
        return f"the native module was built for torch {built['torch']}, but this is torch {torch_version}"
    if _digits(built["python"], 2) != _digits(python_version, 2):
        return f"the native module was built for Python {built['python']}, but this is Python {python_version}"
    if sources is not None and built.get("sources") != sources:
        return "the native module was built from other sources than those of this pack, which was updated since"
    return None


def _digits(version: str, count: int) -> tuple[str, ...]:
    """The first `count` numbers of a version: 2.13.0+cpu and 2.13.0 are the same build for us."""
    return tuple(re.findall(r"\d+", version)[:count])


def _read_build_info() -> dict | None:
    try:
        return json.loads(BUILD_INFO.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
