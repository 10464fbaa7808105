"""The bytes of stored features that the host is told of are those that a run then keeps."""

import pytest
import torch
from tiny_unet import TinyUNet

SIGMAS = [10.0 - i for i in range(11)]
SIZES = [(8, 8), (7, 9)]


class Declaring:
    """A tiny UNet with settings, and what it declares."""

    def __init__(self, glue, native, inheritance):
        self._unet = glue("host.hosted_unet").HostedUNet(native.preset_spec("sd15", 32))
        self._settings = glue("host.settings").EngineSettings(inheritance=inheritance)
        self.settings = self._unet.inheritance(self._settings)

    def feature_bytes(self, shape, element_size):
        """Without sums of held ones, as on a GPU."""
        return self._unet.kept_bytes(self._settings, shape, element_size, torch.device("cuda"))


def peak_bytes(native, tiny, declared_by, height, width):
    """What a run of three full evaluations and some between them keeps at most."""
    run = native.Run(declared_by.settings, SIGMAS, tiny.unet)
    for sigma in SIGMAS[:-1]:
        run.begin_evaluation(sigma)
        features = run.begin_call(["cond", "uncond"], [0, 1], 2)
        run.end_call(features, tiny.forward(height, width, batch=2, features=features))
    return run.record["peak_cache_bytes"]


def declaring(glue, native, **settings):
    inheritance = {"level": "block", "sites": "auto", "mode": "uniform", "interval": 4, **settings}
    return Declaring(glue, native, native.InheritanceRequest(**inheritance))


@pytest.mark.parametrize("sites", ["auto", "mid", "out.5", "in.2 in.3 out.2 out.10", "out", "guidance",
                                   "in.1.attn in.2.res out.11.res:output", "out.9.attn.0.attn1 in.4.res.conv out.8"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_declared_bytes_are_the_stored_ones(glue, native, sites, height, width):
    tiny = TinyUNet(native)
    declared_by = declaring(glue, native, sites=sites)
    declared = declared_by.feature_bytes((2, 4, height, width), 4)
    assert peak_bytes(native, tiny, declared_by, height, width) == declared > 0


@pytest.mark.parametrize("level", ["layer", "unit"])
def test_automatic_sites_of_every_level_are_declared(glue, native, level):
    tiny = TinyUNet(native)
    declared_by = declaring(glue, native, level=level)
    assert peak_bytes(native, tiny, declared_by, 8, 8) == declared_by.feature_bytes((2, 4, 8, 8), 4) > 0


@pytest.mark.parametrize(("value", "snapshots"), [("hold", 1), ("taylor1", 2), ("taylor2", 3), ("affine", 1)])
@pytest.mark.parametrize(("storage", "size"), [("compute", 4), ("bf16", 2), ("cpu", 4), ("cpu_bf16", 2)])
def test_forecasts_declare_the_values_that_they_look_back_on(glue, native, value, snapshots, storage, size):
    tiny = TinyUNet(native)
    declared_by = declaring(glue, native, sites="mid", value=value, storage=storage)
    declared = declared_by.feature_bytes((2, 4, 8, 8), 4)
    assert declared == snapshots * size * 2 * 128 * 1 * 1
    assert peak_bytes(native, tiny, declared_by, 8, 8) == declared


def test_progressive_depth_declares_its_probes_too(glue, native):
    tiny = TinyUNet(native)
    declared_by = declaring(glue, native, mode="adaptive", threshold=1e-9)
    assert peak_bytes(native, tiny, declared_by, 8, 8) == declared_by.feature_bytes((2, 4, 8, 8), 4) > 0


def test_a_plan_declares_all_that_it_inherits_anywhere(glue, native):
    tiny = TinyUNet(native)
    plan = native.Plan(family="sd1", steps=3, evaluations=[(2.0, []), (1.0, ["mid"]), (0.5, ["out.5"])])
    declared_by = Declaring(glue, native, plan)
    assert peak_bytes(native, tiny, declared_by, 8, 8) == declared_by.feature_bytes((2, 4, 8, 8), 4) > 0


@pytest.fixture
def one_thread():
    """What scratch several threads hold at once depends on how they overlap."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_working_memory_is_kept_between_calls_and_given_back_on_request(native, one_thread):
    tiny = TinyUNet(native)
    tiny.forward(height=32, width=32)
    kept = tiny.unet.workspace_bytes()
    tiny.forward(height=32, width=32)
    assert tiny.unet.workspace_bytes() == kept
    tiny.unet.release_workspace()
    assert tiny.unet.workspace_bytes() == 0
