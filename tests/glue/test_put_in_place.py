"""What takes the place of the host's functions, hooks, layers and weights in the middle of a run without looking like
another pack's: functions of torch's and of the host's own, functions of a pack's behind decorators, weights that are
written in part. The engine gives what the host gives with the same change."""

import copy
import functools

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
    openaimodel,
    ops,
    parts,
    sampled,
    settings_of,
)

F = torch.nn.functional


def put(get_owner, name: str, value):
    """`value`, or the attribute of a module that it gives, stands there as `name`."""
    def change(unet, patch):
        patch.setattr(get_owner(), name, value)
    return change


class Doubling:
    """In the place of torch.nn.functional in one of the host's modules."""

    def __getattr__(self, name):
        found = getattr(F, name)
        return (lambda *given, **named: found(*given, **named) * 2.0) if name in ("gelu", "interpolate") else found


def behind(decorator, get_owner, name: str):
    """Twice what it was, by a function that `decorator` hides."""
    def change(unet, patch):
        owner = get_owner()
        original = getattr(owner, name)

        def replaced(*arguments, **named):
            return original(*arguments, **named) * 2.0
        patch.setattr(owner, name, decorator(original)(replaced))
    return change


def of_torch(decorator):
    return lambda original: decorator


def casts(unet, patch):
    for part in leaves(unet, ".ff.net.2"):
        part.comfy_cast_weights = True
    original = ops().cast_bias_weight

    @functools.wraps(original)
    def cast_bias_weight(*arguments, **named):
        weight, *others = original(*arguments, **named)
        return weight * 1.2, *others
    patch.setattr(ops(), "cast_bias_weight", cast_bias_weight)


def hook(ending: str, **settings):
    def change(unet, patch):
        for part in leaves(unet, ending):
            part.register_forward_hook(lambda _part, *given: given[-1] * 4.0, **settings)
    return change


def hook_of_named_arguments(unet, patch):
    def pre_hook(_part, given, named):
        return given, {**named, "context": named["context"] * 1.2}
    for part in leaves(unet, ".attn2"):
        part.register_forward_pre_hook(pre_hook, with_kwargs=True)


def pre_hook_for_all(unet, patch):
    from torch.nn.modules import module as torch_module
    handle = torch_module.register_module_forward_pre_hook(
        lambda part, given: (given[0] * 1.1, *given[1:]) if type(part).__name__ == "FeedForward" else None)
    patch.callback(handle.remove)


def pruned(unet, patch):
    import torch.nn.utils.prune
    for part in leaves(unet, ".ff.net.2"):
        torch.nn.utils.prune.l1_unstructured(part, "weight", amount=0.5)


def each(kind: str, work):
    """`work(part)` on all parts of a class, or with a name that ends so."""
    def change(unet, patch):
        found = parts(unet, kind) or leaves(unet, kind)
        assert found
        with torch.no_grad():
            for part in found:
                work(part)
    return change


def fewer_inputs(part):
    part.groups = 2
    part.weight = torch.nn.Parameter(part.weight[:, :part.weight.shape[1] // 2].clone())


def without_affine(part):
    part.weight = part.bias = None


def swapped(unet, patch):
    first, second = unet.input_blocks[1], unet.input_blocks[2]
    first._modules["1"], second._modules["1"] = second[1], first[1]


def other_attention(part):
    part.attn1 = copy.deepcopy(part.attn1)
    part.attn1.to_out[0].weight.mul_(2.0)


def loaded(**settings):
    def change(unet, patch):
        state = {name: tensor * (1.3 if "attn2.to_v" in name else 1.0) for name, tensor in unet.state_dict().items()}
        unet.load_state_dict(state, **settings)
    return change


def registered_anew(part):
    weight = part._parameters.pop("weight")
    part.register_parameter("weight", torch.nn.Parameter(weight * 1.5))


def expanded(part):
    """Data of one number, which has no more memory than that."""
    part.weight.data = torch.full((1, 1), 0.01).expand(part.weight.shape)


TO_THE_HOST = {
    "gelu is torch's relu": put(lambda: F, "gelu", F.relu),
    "gelu is a builtin": put(lambda: F, "gelu", torch.tanh),
    "silu is another of torch's": put(lambda: F, "silu", F.hardswish),
    "SiLU.forward is Identity's": put(lambda: torch.nn.SiLU, "forward", torch.nn.Identity.forward),
    "FeedForward.forward is Identity's": put(lambda: attention().FeedForward, "forward", torch.nn.Identity.forward),
    "torch.nn.functional of attention.py": put(attention, "F", Doubling()),
    "torch.nn.functional of openaimodel.py": put(openaimodel, "F", Doubling()),
    "GEGLU.forward without gradients": behind(of_torch(torch.no_grad()), lambda: attention().GEGLU, "forward"),
    "FeedForward.forward in inference mode": behind(of_torch(torch.inference_mode()), lambda: attention().FeedForward,
                                                    "forward"),
    "ResBlock._forward never compiled": behind(of_torch(torch.compiler.disable), lambda: openaimodel().ResBlock,
                                               "_forward"),
    "attention without gradients": behind(of_torch(torch.no_grad()), attention, "optimized_attention"),
    "attention that wraps the host's": behind(functools.wraps, attention, "optimized_attention"),
    "Upsample.forward that wraps the host's": behind(functools.wraps, lambda: openaimodel().Upsample, "forward"),
    "a partial function": behind(lambda original: functools.partial, attention, "optimized_attention"),
    "vmap": put(lambda: F, "gelu", torch.vmap(lambda x: x * 1.0)),
    "BasicTransformerBlock.forward": on_class(lambda: attention().BasicTransformerBlock, "forward"),
    "ResBlock.forward": on_class(lambda: openaimodel().ResBlock, "forward"),
    "UNetModel._forward": on_class(lambda: openaimodel().UNetModel, "_forward"),
    "comfy.ops GroupNorm.forward": on_class(lambda: ops().disable_weight_init.GroupNorm, "forward"),
    "F.conv2d": on_class(lambda: F, "conv2d"),
    "F.layer_norm": on_class(lambda: F, "layer_norm"),
    "hook of the time embedding": hook("time_embed"),
    "hook of the head": hook("out"),
    "hook of the head's activation": hook("out.1"),
    "hook of an attention with names": hook(".attn1", with_kwargs=True),
    "pre-hook with names": hook_of_named_arguments,
    "pre-hook for all modules": pre_hook_for_all,
    "pruned": pruned,
    "dilation, padding by name": settings_of("", ".in_layers.2", dilation=(2, 2), padding="same"),
    "groups": each(".out_layers.3", fewer_inputs),
    "group norms without weights": each(".in_layers.0", without_affine),
    "layer norms without weights": each(".norm2", without_affine),
    "pooling": each("Downsample", lambda part: part._modules.update(op=torch.nn.AvgPool2d(2))),
    "feed-forward before the attention": each("BasicTransformerBlock", lambda part: (
        setattr(part, "ff_in", copy.deepcopy(part.ff)), setattr(part, "norm_in", copy.deepcopy(part.norm3)))),
    "no feed-forward": each("BasicTransformerBlock", lambda part: setattr(part, "ff", torch.nn.Identity())),
    "a transformer block more": lambda unet, patch: unet.input_blocks[1][1].transformer_blocks.append(
        copy.deepcopy(unet.input_blocks[1][1].transformer_blocks[0])),
    "no transformer block": lambda unet, patch: setattr(unet.output_blocks[11][1], "transformer_blocks",
                                                        torch.nn.ModuleList()),
    "a weight that is no parameter": each(".attn2.to_k", lambda part: (
        part._parameters.pop("weight"), setattr(part, "weight", torch.ones(part.out_features, part.in_features)))),
}
# Which the engine reads as they are.
OF_VALUES = {
    "casts of weights": casts,
    "functions of weights": each(".attn1.to_q", lambda part: setattr(part, "weight_function", [lambda w: w * 1.5])),
    "layers in each other's place": swapped,
    "another attention": each("BasicTransformerBlock", other_attention),
    "state loaded": loaded(),
    "state taken over": loaded(assign=True),
    "a parameter registered anew": each(".attn2.to_k", registered_anew),
    "copied into": each(".attn2.to_k", lambda part: part.weight.copy_(part.weight.flip(0))),
    "set": each(".attn2.to_v", lambda part: part.weight.set_(part.weight.detach() * 1.5)),
    "set of a convolution": each(".in_layers.2", lambda part: part.weight.set_(part.weight.detach() * 1.5)),
    "by numpy": each(".attn2.to_v", lambda part: part.weight.detach().numpy().__imul__(1.5)),
    "filled": each(".attn2.to_v", lambda part: part.weight.data.fill_(0.01)),
    "one number": each(".attn2.to_k", lambda part: part.weight.data[3, 40].add_(5.0)),
    "some numbers": each(".attn2.to_v", lambda part: part.weight.data[:8, 16:24].add_(1.0)),
    "some numbers, as torch counts": each(".attn2.to_v", lambda part: part.weight[:8, 16:24].add_(1.0)),
    "transposed in memory": each(".attn2.to_v", lambda part: setattr(
        part.weight, "data", (part.weight.data * 1.5).t().contiguous().t())),
    "one number for all": each(".attn2.to_v", expanded),
}


@pytest.fixture(scope="module")
def plain(hosted):
    return hosted.sample(hosted.patcher, **RUN)


@pytest.mark.parametrize("name", [*TO_THE_HOST, *OF_VALUES])
def test_a_change_counts_from_the_next_call_on(hosted, plain, monkeypatch, name):
    change = (TO_THE_HOST | OF_VALUES)[name]
    expected, _ = sampled(hosted, monkeypatch, hosted.patcher, change)
    found, report = sampled(hosted, monkeypatch, hosted.exact(), change)
    assert relative_error(plain, expected) > LEAST_EFFECT
    assert relative_error(expected, found) <= EXACT
    changed = report["places"] or report["host_walks"] or report["fallback_calls"]
    assert bool(changed) == (name in TO_THE_HOST)


def test_functions_that_are_back_in_place_are_the_engines_again(hosted, plain, monkeypatch):
    for name in ("gelu is torch's relu", "silu is another of torch's", "GEGLU.forward without gradients"):
        sampled(hosted, monkeypatch, hosted.patcher, TO_THE_HOST[name])
        found, report = hosted.sampled(hosted.exact(), **RUN)
        assert report["native_share"] == 1.0
        assert relative_error(plain, found) <= EXACT


def test_a_host_that_cannot_be_tried_runs_itself(hosted, plain, glue, monkeypatch):
    conformance = glue("host.conformance")

    class Untriable(conformance._Twin):
        def _by_host(self):
            raise RuntimeError("this attention wants a GPU")
    with monkeypatch.context() as patched:
        patched.setattr(conformance, "_Twin", Untriable)
        patched.setattr(conformance, "_found", {})
        patched.setattr(glue("host.trust"), "_surveyed", {})
        found, report = hosted.sampled(hosted.exact(), **RUN)
    assert relative_error(plain, found) <= EXACT
    assert report["native_calls"] == 0
    (reason,) = report["fallback_reasons"]
    assert "cannot be tried (this attention wants a GPU)" in reason
