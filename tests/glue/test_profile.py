"""The profiler's view through Python: every address is met, and its parts make up the whole."""

import pytest
import torch
from tiny_unet import TOKENS, TinyUNet


def test_a_watched_call_gives_the_same_and_says_where_its_time_went(native):
    tiny = TinyUNet(native)
    profile = native.Profile("cpu")
    assert torch.equal(tiny.forward(profile=profile), tiny.forward())
    seconds = {address: spent for address, calls, spent in profile.entries if calls == 1}
    costs = dict(zip(tiny.unet.node_addresses(), tiny.unet.node_macs(8, 8, TOKENS), strict=True))
    assert seconds.keys() >= {address for address, macs in costs.items() if macs}
    assert seconds["in.1"] >= seconds["in.1.res"] + seconds["in.1.attn"] > 0
    assert seconds["in.1.res"] >= seconds["in.1.res.conv"] > 0


def test_a_profile_of_an_unknown_device_is_refused(native):
    with pytest.raises(RuntimeError, match="toaster"):
        native.Profile("toaster")
