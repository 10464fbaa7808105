"""Loads the pack as ComfyUI does: by file path, with ComfyUI's folder on sys.path and the repository's never."""

import importlib.util
import sys
import threading

import pytest
from repository import HOST, REPO
from torchvision_operators import declare_torchvision_operators

PACK = "asdm_pack_under_test"
# What came to the host with 0.18 and 0.24; its tests are none of an older host's.
NEWER = {"class ModelPatcherDynamic": "test_dynamic_vram.py", "def deepclone_multigpu": "test_several_devices.py"}


def not_of_this_host() -> list[str]:
    patchers = HOST / "comfy" / "model_patcher.py"
    text = patchers.read_text(encoding="utf-8") if patchers.is_file() else ""
    return [tests for needed, tests in NEWER.items() if needed not in text]


collect_ignore = not_of_this_host()


@pytest.fixture(scope="session")
def comfy():
    """Makes ComfyUI importable, as on a CPU machine; its folder."""
    if not (HOST / "main.py").is_file():
        pytest.skip(f"no ComfyUI in {HOST}: run scripts/setup.sh, or name one in COMFYUI_PATH")
    sys.path.append(str(HOST))
    own_arguments = sys.argv
    sys.argv = ["main.py", "--cpu"]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args  # noqa: F401  reads sys.argv
    finally:
        sys.argv = own_arguments
    declare_torchvision_operators()
    return HOST


@pytest.fixture(scope="session")
def pack(comfy):
    """The pack's root module."""
    spec = importlib.util.spec_from_file_location(PACK, REPO / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def glue(pack):
    """Imports a module of python_glue by name, inside the pack."""
    return lambda name: importlib.import_module(f"{PACK}.python_glue.{name}")


@pytest.fixture(scope="session")
def native(glue):
    """The native module, built."""
    loader = glue("native")
    if not loader.BUILD_INFO.is_file():
        pytest.skip("the native module is not built: run python install.py")
    return loader.native_module()


@pytest.fixture
def runs(glue, monkeypatch):
    """The SamplingRuns of models, as they are made."""
    from hosted_model import recorded_runs
    return recorded_runs(monkeypatch, glue("host.run_wrappers"))


@pytest.fixture
def engine_calls(glue, monkeypatch):
    """(thread, diffusion model) of each call that the engine makes."""
    seen = []
    EngineCall = glue("host.seam").EngineCall
    plain = EngineCall._by_engine
    monkeypatch.setattr(EngineCall, "_by_engine", lambda self, *arguments: seen.append(
        (threading.get_ident(), self._module)) or plain(self, *arguments))
    return seen


@pytest.fixture
def forgetful(glue, monkeypatch):
    """Does work whose sampling runs reuse nothing but features."""
    def do(work):
        with monkeypatch.context() as patched:
            patched.setattr(glue("host.sampling_run").SamplingRun, "projections", lambda *_: None)
            return work()
    return do


@pytest.fixture
def graphs_module(glue):
    """Which calls of a run are CUDA graphs."""
    return glue("host.run_graphs")


@pytest.fixture
def calls(graphs_module, native):
    """Calls of a tiny UNet, captured without a GPU."""
    from captured_calls import Calls, Repeater
    return Calls(graphs_module, native, Repeater())


@pytest.fixture(scope="module")
def hosted(glue, native):
    """A small random UNet that the host samples in this process."""
    from hosted_model import HostedModel
    return HostedModel(glue)
