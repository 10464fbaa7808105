"""The real host in this process: ComfyUI's modules and the pack, imported as ComfyUI does it."""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "host"))

from launch_comfy import declare_torchvision_operators  # noqa: E402

_KEPT_ALIVE = []
_PACK = "asdm_pack"


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


class Pack:
    """The modules of python_glue by their own names: `pack.seam`, `pack.trainer`, and `pack.host` for what the nodes
    call."""

    _ROOMS = ("", "host.", "training.", "nodes.", "pictures.")

    def __getattr__(self, name: str):
        wanted = "comfy_host" if name == "host" else name
        for room in self._ROOMS:
            if importlib.util.find_spec(f"{_PACK}.python_glue.{room}{wanted}") is not None:
                return importlib.import_module(f"{_PACK}.python_glue.{room}{wanted}")
        raise AttributeError(f"python_glue has no module {name}")

    def request(self, inheritance: dict):
        """Settings by the names of ASDMFeatureInheritance's inputs, as the nodes hand them on."""
        return self.native.native_module().InheritanceRequest(**inheritance)


def load_pack() -> Pack:
    """The pack, by file path as ComfyUI's loader does it."""
    if _PACK not in sys.modules:
        spec = importlib.util.spec_from_file_location(_PACK, ROOT / "__init__.py",
                                                      submodule_search_locations=[str(ROOT)])
        module = importlib.util.module_from_spec(spec)
        sys.modules[_PACK] = module
        spec.loader.exec_module(module)
    return Pack()
