"""The host's own forward, where another pack replaced it: what of it is inherited, and when nothing is."""

import copy

import pytest
import torch
from closeness import relative_error
from hosted_model import actions
from mid_run_changes import sampled

EXACT = 2e-6  # relative L2


def with_own_forward(unet, patch):
    original = unet._forward
    unet._forward = lambda *arguments, **named: original(*arguments, **named)


def test_a_forward_that_is_replaced_before_an_inheriting_call(hosted, monkeypatch):
    """The engine made the calls before, and the host's blocks have shown no sizes yet."""
    _, report = sampled(hosted, monkeypatch, hosted.inheriting(interval=3), with_own_forward)
    assert sum(report["host_walks"].values()) > 0
    assert actions(report, "out.8")[:2] == "cc"
    assert "the host's forward has not shown the sizes of its blocks yet" in report["forced_refreshes"]


def control_on_the_way_down():
    """Residuals for the input blocks, as T2I-Adapters give them."""
    import comfy.controlnet

    class Control(comfy.controlnet.ControlBase):
        def get_control(self, *_):
            return {"input": [torch.full((1, 1, 1, 1), 0.3 * number) for number in range(12)], "middle": [],
                    "output": []}

        def copy(self):
            copied = Control()
            self.copy_to(copied)
            return copied
    return Control()


def test_a_call_that_must_be_made_again_adds_each_residual_where_it_belongs(hosted, monkeypatch):
    """Deep Shrink ends in mid-run, so that what was kept fits no more; the host's lists are used up by then."""
    from comfy_extras.nodes_model_downscale import PatchModelAddDownscale
    unet = hosted.patcher.model.diffusion_model
    original = unet._forward
    monkeypatch.setattr(unet, "_forward", lambda *arguments, **named: original(*arguments, **named), raising=False)
    control = {"control": control_on_the_way_down(), "control_apply_to_uncond": True}
    latents = []
    for model in (hosted.patcher, hosted.inheriting(interval=2, sites="out.4")):
        shrunk, = PatchModelAddDownscale.execute(model, 3, 2.0, 0.0, 0.3, True, "bicubic", "bicubic").result
        latents.append(hosted.sample(shrunk, positive=hosted.cond(1, **control), negative=hosted.cond(2, **control),
                                     steps=2))
    assert "feature shape changed" in hosted.report(shrunk, latents[1])["forced_refreshes"]
    assert relative_error(*latents) < EXACT


def test_a_unet_that_lacks_a_block_can_be_walked(hosted, glue):
    unet = copy.deepcopy(hosted.patcher.model.diffusion_model)
    del unet.output_blocks[11]
    walk = glue("host.host_walk").HostWalk(glue("host.hosted_unet").hosted_unet(hosted.patcher.model), unet, {})
    assert walk.met == 0


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_walks_in_threads_leave_nothing_in_the_host(hosted, glue, order):
    from threading import Event, Thread

    from comfy.ldm.modules.diffusionmodules import openaimodel
    walk_of, before = glue("host.host_walk").HostWalk, openaimodel.forward_timestep_embed
    of, unet = glue("host.hosted_unet").hosted_unet(hosted.patcher.model), hosted.patcher.model.diffusion_model
    entered = {name: Event() for name in order}
    native = glue("native").native_module()

    def walk(name, other):
        def forward():
            entered[name].set()
            entered[other].wait(0.2)  # comes in vain where walks wait for each other
            return torch.zeros(1)
        walk_of(of, unet, {}).run(native.CallFeatures(), torch.zeros(1, 4, 8, 8), forward)

    threads = [Thread(target=walk, args=(name, other)) for name, other in (order, order[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert openaimodel.forward_timestep_embed is before
