"""The bytes of stored features that the host is told of are those that a run then keeps."""

import pytest
import torch
from tiny_unet import TinyUNet

SETTINGS = {"level": "block", "mode": "uniform", "interval": 3, "full_evaluations": 0, "start_percent": 0.0,
            "end_percent": 1.0, "value": "hold", "max_age": 0}


@pytest.mark.parametrize("sites", ["auto", "mid", "out.5", "in.2 in.3 out.2 out.10"])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9)])
def test_declared_bytes_are_the_stored_ones(glue, native, sites, height, width):
    tiny = TinyUNet(native)
    session = glue("session").Session(unet=tiny.unet, base_model=None, inheritance=SETTINGS | {"sites": sites})
    run = native.Run(session.settings(), [3.0, 2.0, 1.0, 0.0], tiny.unet)
    run.begin_evaluation(3.0)
    features = run.begin_call(["cond", "uncond"])
    tiny.forward(height, width, batch=2, features=features)
    run.end_call(features)
    assert run.record["peak_cache_bytes"] == session.cache_bytes((2, 4, height, width), 4) > 0


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
