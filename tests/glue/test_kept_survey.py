"""What was found out about the modules of a UNet is kept from one run to the next for as long as it holds, and keeps
nothing alive that the host has put away."""

import gc
import weakref

import pytest
import torch
from closeness import relative_error
from hosted_model import HostedModel

RUN = {"steps": 2, "latent": torch.zeros(1, 4, 8, 8), "cfg": 2.0}
EXACT = 2e-6  # relative L2


@pytest.fixture
def own(glue):
    """A model of the test's own, which it may change."""
    return HostedModel(glue)


@pytest.fixture
def surveys(glue, monkeypatch):
    """The modules that are surveyed from here on."""
    trust, found = glue("host.trust"), []
    original = trust.structure_of

    def structure_of(module, *arguments):
        found.append(weakref.ref(module))
        return original(module, *arguments)

    monkeypatch.setattr(trust, "structure_of", structure_of)
    return found


def convolution(hosted):
    return hosted.patcher.model.diffusion_model.out[2]


def test_a_second_run_looks_at_nothing_anew(own, surveys):
    for _ in range(3):
        own.sample(own.exact(), **RUN)
    assert len(surveys) == 1


def circular(part):
    part.padding_mode = "circular"
    part._reversed_padding_repeated_twice = [1, 1, 1, 1]


def doubled_weight(part):
    part.weight = torch.nn.Parameter(part.weight.data * 2)


def hooked(part):
    part.register_forward_hook(lambda module, given, output: output * 2)


@pytest.mark.parametrize("change", [circular, doubled_weight, hooked])
def test_a_change_between_two_runs_counts(own, surveys, change):
    before = own.sample(own.exact(), **RUN)
    with torch.inference_mode(False):
        change(convolution(own))
    expected = own.sample(own.patcher, **RUN)
    assert relative_error(before, expected) > 1e-4
    assert relative_error(own.sample(own.exact(), **RUN), expected) < EXACT
    assert len(surveys) == 2


def test_a_weight_that_was_replaced_is_not_kept(own):
    own.sample(own.exact(), **RUN)
    weight = weakref.ref(convolution(own).weight)
    doubled_weight(convolution(own))
    gc.collect()
    assert weight() is None


def tied_to_itself(unet):
    unet.original_forward = unet.forward  # as packs keep it to call it later


def tied_by_a_child(unet):
    unet.input_blocks[1][0].whole = (lambda: unet)


def tied_in_a_list(unet):
    unet.input_blocks[1][0].owners = [unet.forward]


@pytest.mark.parametrize("tie", [lambda unet: None, tied_to_itself, tied_by_a_child, tied_in_a_list])
def test_a_unet_that_nobody_holds_goes(glue, tie):
    hosted = HostedModel(glue)
    with torch.inference_mode(False):
        tie(hosted.patcher.model.diffusion_model)
    hosted.sample(hosted.exact(), **RUN)
    unet = weakref.ref(hosted.patcher.model.diffusion_model)
    import comfy.model_management
    comfy.model_management.unload_all_models()
    del hosted
    gc.collect()
    assert unet() is None


def test_a_unet_that_may_be_held_by_what_was_seen_is_looked_at_in_each_run(own, surveys):
    tied_to_itself(own.patcher.model.diffusion_model)
    for _ in range(2):
        own.sample(own.exact(), **RUN)
    assert len(surveys) == 2


@pytest.mark.parametrize("change", [circular, hooked])
def test_a_unet_of_which_the_host_runs_a_part_goes(glue, change):
    hosted = HostedModel(glue)
    with torch.inference_mode(False):
        change(convolution(hosted))
    _, report = hosted.sampled(hosted.exact(), **RUN)
    assert report["places"]
    unet = weakref.ref(hosted.patcher.model.diffusion_model)
    import comfy.model_management
    comfy.model_management.unload_all_models()
    del hosted
    gc.collect()
    assert unet() is None
