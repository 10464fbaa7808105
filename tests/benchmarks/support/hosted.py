"""The real host in this process: ComfyUI's modules and the pack, imported as ComfyUI does it."""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "host"))

from launch_comfy import declare_torchvision_operators  # noqa: E402

_KEPT_ALIVE = []


def start_host(*flags: str, device: str = "cpu"):
    """Imports the host with the command-line `flags` (they count at import, so once per process)."""
    _KEPT_ALIVE.append(declare_torchvision_operators())
    comfy_path = os.environ.get("COMFYUI_PATH", str(ROOT / ".host" / "ComfyUI"))
    sys.path.insert(0, comfy_path)
    own_arguments = sys.argv
    sys.argv = [sys.argv[0], *(["--cpu"] if device == "cpu" else []), *flags]
    import comfy.options
    comfy.options.enable_args_parsing()
    import comfy.cli_args  # noqa: F401  reads sys.argv now
    sys.argv = own_arguments


def load_pack():
    """The pack's glue package, by file path as ComfyUI's loader does it."""
    name = "asdm_pack"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py",
                                                      submodule_search_locations=[str(ROOT)])
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        for part in ("distil.trainer", "host", "hosted_training", "loader", "native", "sampling_run", "seam"):
            importlib.import_module(f"{name}.python_glue.{part}")
    return sys.modules[f"{name}.python_glue"]
