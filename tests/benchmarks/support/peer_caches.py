"""First-block cache, spectrum and SADA as wrappers around a MODEL that runs in the native engine, so that they and the
pack differ in what they skip alone. EasyCache and LazyCache are the host's own nodes."""

import torch
from support.peer_rules import FirstBlockRule, SpectrumRule
from support.sada_rule import SadaRule

KEY = "peer_cache"
# Leaves whose inputs are the values that first-block cache is defined on; in SD UNets input_blocks[1] is that block.
BEFORE_FIRST_BLOCK = "input_blocks.1.0.in_layers.0"
AFTER_FIRST_BLOCK = "input_blocks.2.0.in_layers.0"
BEFORE_OUTPUT = "out.0"


class _Skip(Exception):
    """Ends a forward after its first block; `h` is that block's output."""

    def __init__(self, h: torch.Tensor):
        super().__init__()
        self.h = h


class FirstBlockForward:
    """Stands where the pack's engine stands in a MODEL: the native forward, which asks for the weights of three leaves
    when it comes to them and so shows what goes into these. After the first block it may be left."""

    def __init__(self, pack, model, threshold: float):
        self._pack, self._diffusion_model = pack, model.model.diffusion_model
        self._unet = pack.hosted_unet.hosted_unet(model.model).unet
        self._rule = FirstBlockRule(threshold)
        self._sigma = -1.0
        self._done = self._full = 0  # multiply-accumulates of this run, and those of one that skips nothing
        self._rest = None  # last block's output minus the first one's, of the last computed call
        names = [name for name, _, _ in self._unet.leaves()]
        self._modules = [self._diffusion_model.get_submodule(name) for name in names]
        self._watched = {names.index(name): name for name in (BEFORE_FIRST_BLOCK, AFTER_FIRST_BLOCK, BEFORE_OUTPUT)}
        self._weights = None  # of this run: the host puts patched ones in their place when it begins

    def __deepcopy__(self, memo):
        return self

    def _begin_run(self):
        self._rule.reset()
        self._done = self._full = 0
        leaves = [None if index in self._watched else (module.weight, getattr(module, "bias", None))
                  for index, module in enumerate(self._modules)]
        self._weights = self._pack.native.native_module().HostWeights(self._unet, leaves, self._fetch)

    def _forward(self, x, timesteps, context, y, control, options):
        hooks = self._pack.hooks.HostHooks(options, self._diffusion_model.model_channels, None)
        features = self._pack.native.native_module().CallFeatures()
        try:
            return self._unet.forward(x=x, timesteps=timesteps.float(), context=context.to(x.dtype), y=y,
                                      control=self._pack.control.control_lists(control), weights=self._weights,
                                      hooks=hooks, features=features)
        finally:
            done, full = self._unet.call_macs(features, x.shape[2], x.shape[3], context.shape[1])
            self._done, self._full = self._done + done * x.shape[0], self._full + full * x.shape[0]

    def _fetch(self, leaf: int, value: torch.Tensor):
        name = self._watched[leaf]
        if name == BEFORE_FIRST_BLOCK:
            self._before = value.clone()
        elif name == AFTER_FIRST_BLOCK:
            self._after = value.clone()
            if self._rule.skips(self._after - self._before):
                raise _Skip(self._after)
        else:
            self._rest = value - self._after
        module = self._modules[leaf]
        return module.weight.to(value.dtype), module.bias.to(value.dtype), None

    @property
    def share(self) -> float:
        """Of the UNet's work that the last run did."""
        return self._done / self._full

    def __call__(self, executor, x, timesteps=None, context=None, y=None, control=None, transformer_options=None,
                 **kwargs):
        sigma = float(transformer_options["sigmas"].max())
        if sigma > self._sigma:  # another run
            self._begin_run()
        self._sigma = sigma
        try:
            return self._forward(x, timesteps, context, y, control, transformer_options)
        except _Skip as skip:
            return self._diffusion_model.out(skip.h + self._rest)


def with_first_block_cache(pack, model, threshold: float):
    """A clone of `model`, which runs in the native engine, with first-block cache at its source's other defaults: the
    whole run, any number of skips in a row."""
    clone = model.clone()
    wrappers = clone.model_options["transformer_options"]["wrappers"]
    wrappers["diffusion_model"] = {KEY: [FirstBlockForward(pack, model, threshold)]}
    return clone


def first_block_cache_of(model) -> FirstBlockForward | None:
    """The one that `model` runs behind."""
    (forward,) = model.model_options["transformer_options"]["wrappers"]["diffusion_model"].get(KEY, (None,))
    return forward


def _with_rule(model, rule, predict_noise):
    """A clone of `model` that predicts by `predict_noise`; `rule` is reset where a run begins and ends."""
    from comfy.patcher_extension import WrappersMP

    def outer_sample(executor, noise, latent_image, sampler, sigmas, *args, **kwargs):
        rule.reset(len(sigmas) - 1)
        try:
            return executor(noise, latent_image, sampler, sigmas, *args, **kwargs)
        finally:
            rule.reset(0)

    clone = model.clone()
    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, outer_sample)
    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, predict_noise)
    return clone


def with_spectrum(model, **constants):
    """A clone of `model` with spectrum; `constants` are those of SpectrumRule."""
    rule = SpectrumRule(**constants)

    def predict_noise(executor, *args, **kwargs):
        if rule.skips():
            return rule.forecast()
        prediction = executor(*args, **kwargs)
        rule.computed(prediction)
        return prediction

    return _with_rule(model, rule, predict_noise)


def with_sada(model, **constants):
    """A clone of `model` with SADA; `constants` are those of SadaRule."""
    rule = SadaRule(**constants)
    sampling = model.get_model_object("model_sampling")
    kept = 1.0 / (1.0 + sampling.sigmas.double() ** 2)  # of the variance, by timestep
    betas = 1.0 - kept / torch.cat((kept.new_ones(1), kept[:-1]))

    def predict_noise(executor, x, timestep, *args, **kwargs):
        sigma = float(timestep.max())
        denoised = stand_in = rule.stand_in(x, sigma)
        if stand_in is None:
            denoised = executor(x, timestep, *args, **kwargs)
        beta = float(betas[int(sampling.timestep(timestep.max()))])
        rule.evaluated(x, sigma, denoised, beta, skipped=stand_in is not None)
        return denoised

    return _with_rule(model, rule, predict_noise)


def with_host_cache(node: str, model, threshold: float):
    """A clone of `model` behind the host's node "EasyCache" or "LazyCache", at its other defaults."""
    from comfy_extras import nodes_easycache
    nodes = {"EasyCache": nodes_easycache.EasyCacheNode, "LazyCache": nodes_easycache.LazyCacheNode}
    return nodes[node].execute(model, threshold, 0.15, 0.95, False).args[0]
