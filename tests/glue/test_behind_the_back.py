"""What other packs change behind the engine's back in the middle of a run, on a module, a class, or in the host's code:
the engine gives what the host gives with the same change."""

from types import MethodType

import pytest
import torch
from closeness import relative_error
from mid_run_changes import (
    EXACT,
    LEAST_EFFECT,
    RUN,
    attention,
    leaves,
    on_class,
    on_instance,
    openaimodel,
    ops,
    parts,
    sampled,
    settings_of,
)


def convolutions(unet):
    return [part for part in unet.modules() if isinstance(part, torch.nn.Conv2d) and part.kernel_size == (3, 3)]


def circular(unet, patch):
    for part in convolutions(unet):
        part.padding_mode = "circular"
        part._reversed_padding_repeated_twice = [1, 1, 1, 1]


def circular_along_x(unet, patch):
    """As seamless packs do it along one axis: by a `_conv_forward` of the instance."""
    def along_x(self, x, weight, bias):
        x = torch.nn.functional.pad(x, (1, 1, 0, 0), mode="circular")
        x = torch.nn.functional.pad(x, (0, 0, 1, 1))
        return torch.nn.functional.conv2d(x, weight, bias, self.stride, 0, self.dilation, self.groups)
    for part in convolutions(unet):
        part._conv_forward = MethodType(along_x, part)


def another_code(unet, patch):
    def forward(self, x):
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * gate
    patch.setattr(attention().GEGLU.forward, "__code__", forward.__code__)


def in_place(ending, where=slice(None), factor=2.0):
    def change(unet, patch):
        found = leaves(unet, ending)
        assert found
        for part in found:
            part.weight.data[where] *= factor
    return change


def another_tensor(ending, name="weight"):
    def change(unet, patch):
        for part in leaves(unet, ending):
            setattr(part, name, torch.nn.Parameter(getattr(part, name).detach() * 3.0, requires_grad=False))
    return change


def other_data(ending):
    def change(unet, patch):
        for part in leaves(unet, ending):
            part.weight.data = part.weight.data * 1.5
    return change


def without_bias(unet, patch):
    for part in leaves(unet, ".to_out.0"):
        part.bias = None


def with_bias(unet, patch):
    for part in leaves(unet, ".attn2.to_q"):
        part.bias = torch.nn.Parameter(torch.ones(part.out_features))


def forward_hook(unet, patch):
    for part in leaves(unet, ".ff.net.2"):
        part.register_forward_hook(lambda _part, _given, output: output * 1.2)


def pre_hook(unet, patch):
    for part in leaves(unet, ".ff"):
        part.register_forward_pre_hook(lambda _part, given: (given[0] * 1.2,))


def global_hook(unet, patch):
    from torch.nn.modules import module as torch_module
    handle = torch_module.register_module_forward_hook(
        lambda part, _given, output: output * 1.1 if type(part).__name__ == "CrossAttention" else output)
    patch.callback(handle.remove)


def weight_norm(unet, patch):
    for part in leaves(unet, ".ff.net.2"):
        normed = torch.nn.utils.weight_norm(part)
        normed.weight_g.data *= 1.3


def parametrized(unet, patch):
    class Twice(torch.nn.Module):
        def forward(self, weight):
            return weight * 1.5
    for part in leaves(unet, ".attn1.to_v"):
        torch.nn.utils.parametrize.register_parametrization(part, "weight", Twice())


def activation(ending_of_parent, name):
    def change(unet, patch):
        found = leaves(unet, ending_of_parent)
        assert found
        for part in found:
            part._modules[name] = torch.nn.ReLU()
    return change


def subclass(kind: str):
    """The class of the instance is another one, derived from it."""
    def change(unet, patch):
        for part in parts(unet, kind):
            plain = type(part)
            part.__class__ = type(plain.__name__, (plain,), {
                "forward": lambda self, *given, _plain=plain, **named: _plain.forward(self, *given, **named) * 1.1})
    return change



CHANGES = {
    "padding_mode of all": circular,
    "padding_mode along one axis": circular_along_x,
    "padding_mode of a resampling": settings_of("", ".op", padding_mode="circular"),
    "padding_mode reflect of the last": settings_of("", "out.2", padding_mode="reflect",
                                                   _reversed_padding_repeated_twice=[1, 1, 1, 1]),
    "dilation and padding": settings_of("", ".in_layers.2", dilation=(2, 2), padding=(2, 2)),
    "eps of group norms": settings_of("", ".in_layers.0", eps=0.5),
    "eps of the last norm": settings_of("", "out.0", eps=0.5),
    "eps of the norms of transformers": settings_of("", "1.norm", eps=0.5),
    "eps of layer norms": settings_of("", ".norm2", eps=0.5),
    "num_groups": settings_of("", ".out_layers.0", num_groups=16),
    "heads": settings_of("CrossAttention", "", heads=lambda part: part.heads // 2),
    "use_scale_shift_norm": settings_of("ResBlock", "", skip_t_emb=True),
    "an attention's heads, dim_head": settings_of("", "attn2", heads=4),
    "scale of upsampling": settings_of("Upsample", "", padding=0, use_conv=False),
    "is_res": settings_of("BasicTransformerBlock", "", is_res=False),
    "_forward of a ResBlock": on_instance("ResBlock", "_forward"),
    "forward of a ResBlock": on_instance("ResBlock", "forward"),
    "forward of a GEGLU": on_instance("GEGLU", "forward"),
    "forward of a SiLU": on_instance("SiLU", "forward"),
    "forward of a Sequential": on_instance("Sequential", "forward"),
    "forward of an Upsample": on_instance("Upsample", "forward"),
    "forward of a Dropout": on_instance("Dropout", "forward"),
    "_conv_forward of a convolution": on_instance("Conv2d", "_conv_forward"),
    "forward of a norm": on_instance("LayerNorm", "forward"),
    "code of GEGLU.forward": another_code,
    "Upsample.forward": on_class(lambda: openaimodel().Upsample, "forward"),
    "Downsample.forward": on_class(lambda: openaimodel().Downsample, "forward"),
    "ResBlock._forward": on_class(lambda: openaimodel().ResBlock, "_forward"),
    "GEGLU.forward": on_class(lambda: attention().GEGLU, "forward"),
    "FeedForward.forward": on_class(lambda: attention().FeedForward, "forward"),
    "CrossAttention.forward": on_class(lambda: attention().CrossAttention, "forward"),
    "SpatialTransformer.forward": on_class(lambda: attention().SpatialTransformer, "forward"),
    "comfy.ops Conv2d.forward": on_class(lambda: ops().disable_weight_init.Conv2d, "forward"),
    "comfy.ops Linear.forward": on_class(lambda: ops().disable_weight_init.Linear, "forward"),
    "torch Conv2d._conv_forward": on_class(lambda: torch.nn.Conv2d, "_conv_forward"),
    "torch Linear.forward": on_class(lambda: torch.nn.Linear, "forward"),
    "torch GroupNorm.forward": on_class(lambda: torch.nn.GroupNorm, "forward"),
    "torch SiLU.forward": on_class(lambda: torch.nn.SiLU, "forward"),
    "torch Sequential.forward": on_class(lambda: torch.nn.Sequential, "forward"),
    "Module.__call__": on_class(lambda: attention().CrossAttention, "__call__"),
    "attention.optimized_attention": on_class(attention, "optimized_attention"),
    "what optimized_attention calls": on_class(attention, "efficient_dot_product_attention"),
    "F.interpolate": on_class(lambda: torch.nn.functional, "interpolate"),
    "F.gelu": on_class(lambda: torch.nn.functional, "gelu"),
    "F.silu": on_class(lambda: torch.nn.functional, "silu"),
    "F.linear": on_class(lambda: torch.nn.functional, "linear"),
    "F.group_norm": on_class(lambda: torch.nn.functional, "group_norm"),
    "timestep_embedding": on_class(openaimodel, "timestep_embedding"),
    "checkpoint": on_class(openaimodel, "checkpoint"),
    "forward_timestep_embed": on_class(openaimodel, "forward_timestep_embed"),
    "comfy.ops LayerNorm.forward": on_class(lambda: ops().disable_weight_init.LayerNorm, "forward"),
    "weights in place": in_place(".attn2.to_k"),
    "weights in place, one row": in_place(".attn2.to_k", 5, 30.0),
    "weights in place, one row of values": in_place(".attn2.to_v", 11, 30.0),
    "weights in place, one column": in_place(".attn2.to_v", (slice(None), 13), 30.0),
    "weights in place, resblock": in_place("9.0.skip_connection", 3, 10.0),
    "data of weights replaced": other_data(".attn2.to_k"),
    "weights replaced": another_tensor(".attn1.to_q"),
    "values replaced": another_tensor(".attn2.to_v"),
    "bias replaced": another_tensor(".ff.net.2", "bias"),
    "bias of a norm replaced": another_tensor(".norm3", "bias"),
    "time embedding replaced": another_tensor("time_embed.2"),
    "bias of the head replaced": another_tensor("out.2", "bias"),
    "bias removed": without_bias,
    "bias added": with_bias,
    "forward hook": forward_hook,
    "forward pre-hook": pre_hook,
    "hook for all modules": global_hook,
    "weight_norm": weight_norm,
    "parametrization": parametrized,
    "activation of a ResBlock": activation(".in_layers", "1"),
    "activation of the head": activation("out", "1"),
    "activation of the time embedding": activation("time_embed", "1"),
    "class of the instance": subclass("CrossAttention"),
    "class of a leaf": subclass("LayerNorm"),
}


# Changes of values, which the engine takes as they are.
OF_WEIGHTS = [name for name in CHANGES if "in place" in name or "replaced" in name]


@pytest.fixture(scope="module")
def plain(hosted):
    return hosted.sample(hosted.patcher, **RUN)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_counts_from_the_next_call_on(hosted, plain, monkeypatch, name):
    expected, _ = sampled(hosted, monkeypatch, hosted.patcher, CHANGES[name])
    found, report = sampled(hosted, monkeypatch, hosted.exact(), CHANGES[name])
    assert relative_error(plain, expected) > LEAST_EFFECT
    assert relative_error(expected, found) <= EXACT
    changed = report["places"] or report["host_walks"] or report["fallback_calls"]
    assert bool(changed) != (name in OF_WEIGHTS)


def test_an_attention_of_another_precision_is_the_hosts(hosted, monkeypatch):
    def change(unet, patch):
        parts(unet, "CrossAttention")[3].attn_precision = torch.float32
    _, report = sampled(hosted, monkeypatch, hosted.exact(), change)
    assert [place["reason"] for place in report["places"]] == ["it has attn_precision=torch.float32, expected None"]


def test_what_was_changed_and_changed_back_runs_in_the_engine(hosted, plain, monkeypatch):
    sampled(hosted, monkeypatch, hosted.exact(), CHANGES["heads"])
    latent, report = hosted.sampled(hosted.exact(), **RUN)
    assert report["native_share"] == 1.0
    assert relative_error(plain, latent) <= EXACT


def test_marks_of_other_packs_change_nothing(hosted, plain, monkeypatch):
    """Attributes that no code of the host's reads, and those that change no result."""
    def marked(unet, patch):
        unet.train()
        for part in unet.modules():
            part.name_in_the_graph, part.step, part.use_checkpoint = "x", 3, False
    found, report = sampled(hosted, monkeypatch, hosted.exact(), marked)
    assert report["native_share"] == 1.0
    assert relative_error(plain, found) <= EXACT
