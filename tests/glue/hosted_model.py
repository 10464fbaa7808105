"""A small UNet of the host's with random weights, sampled by the host itself in this process."""

import json
import sys
from types import SimpleNamespace

import torch
from repository import REPO

sys.path.append(str(REPO / "tests" / "benchmarks"))

SIZE = 16  # of the latent
TOKENS = 77
CFG = 5.0
SEED = 3
INHERITANCE = {"level": "block", "sites": "out.8", "mode": "uniform", "interval": 3}


class HostedModel:
    """SD1.5's structure, or that of another preset, at width 32, and what tests do with it. `glue`: the fixture of
    that name."""

    def __init__(self, glue, preset="sd15"):
        from support import models
        self.pack = SimpleNamespace(
            loader=glue("host.loader"), native=glue("native"), seam=glue("host.seam"), hooks=glue("host.hooks"),
            hosted_unet=glue("host.hosted_unet"), host=glue("host.comfy_host"), control=glue("host.control"))
        self.host = self.pack.host.comfy_host()
        self.patcher = models.make_patcher(self.pack, preset, 32)

    def inheriting(self, patcher=None, **inheritance):
        """A clone of the model (or of `patcher`) that inherits, by the names of ASDMFeatureInheritance's inputs."""
        return self.with_inheritance(patcher or self.patcher, INHERITANCE | inheritance)

    def exact(self):
        """A clone that runs in the engine and inherits nothing."""
        return self.host.with_native_engine(self.patcher)

    def _asked(self, inheritance):
        """`inheritance` as the nodes hand it on: a Plan as it is, settings by name as a request."""
        native = self.pack.native.native_module()
        return native.InheritanceRequest(**inheritance) if isinstance(inheritance, dict) else inheritance

    def with_inheritance(self, patcher, inheritance, where: str = ""):
        return self.host.with_inheritance(patcher, self._asked(inheritance), where)

    def wrap_sampler(self, sampler, inheritance, where: str = ""):
        return self.host.wrap_sampler(sampler, self._asked(inheritance), where)

    def plan(self, text: str):
        """The JSON of a plan, as the nodes hand it on."""
        return self.pack.native.native_module().Plan.from_json(text)

    def following(self, plan: str):
        """A clone that follows the JSON of a plan."""
        return self.with_inheritance(self.patcher, self.plan(plan))

    def load_file(self, path):
        """The MODEL of a UNet's file, by ASDM Load UNet."""
        class Folder(type(self.host)):
            def list_models(self, folder):
                return [path.name]

            def model_path(self, folder, name):
                return str(path)
        inputs = {"unet_name": path.name}
        return self.pack.native.native_module().execute("ASDMLoadUNet", Folder(), inputs)["outputs"][0]

    def sampler(self, name="euler"):
        import comfy.samplers
        return comfy.samplers.sampler_object(name)

    def cond(self, seed, tokens=TOKENS, **extra):
        """A conditioning of random numbers; `extra`: what nodes would add to it."""
        config = self.patcher.model.model_config.unet_config
        generator = torch.Generator().manual_seed(seed)
        if config.get("adm_in_channels"):
            extra = {"pooled_output": torch.randn(1, 1280, generator=generator), **extra}
        return [[torch.randn(1, tokens, config["context_dim"], generator=generator), extra]]

    def sigmas(self, steps=8, scheduler="normal"):
        return self.sigmas_of(self.patcher, steps, scheduler)

    def sigmas_of(self, patcher, steps=8, scheduler="normal"):
        """The schedule of a MODEL that samples in its own way."""
        import comfy.samplers
        return comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), scheduler, steps)

    def guider(self, patcher, positive=None, negative=None, cfg=CFG):
        import comfy.samplers
        guider = comfy.samplers.CFGGuider(patcher)
        guider.set_conds(positive or self.cond(1), negative or self.cond(2))
        guider.set_cfg(cfg)
        return guider

    def sample(self, patcher, sampler=None, positive=None, negative=None, steps=8, callback=lambda *_: None,
               latent=None, sigmas=None, cfg=CFG, noise=True):
        """The latent [batch, 4, height, width] that the host's sampler gives."""
        guider = self.guider(patcher, positive, negative, cfg)
        return self.guided(guider, sampler, steps, callback, latent, sigmas, noise)

    def guided(self, guider, sampler=None, steps=8, callback=lambda *_: None, latent=None, sigmas=None, noise=True):
        """The same under any guider of the host's, or of its nodes."""
        import comfy.sample
        latent = torch.zeros(1, 4, SIZE, SIZE) if latent is None else latent
        sigmas = self.sigmas(steps) if sigmas is None else sigmas
        with torch.inference_mode():
            drawn = comfy.sample.prepare_noise(latent, SEED) if noise else torch.zeros_like(latent)
            return guider.sample(drawn, latent, sampler or self.sampler(), sigmas, callback=callback,
                                 disable_pbar=True, seed=SEED)

    def report(self, patcher, latent) -> dict:
        return json.loads(self.host.run_report(patcher, {"samples": latent}))

    def sampled(self, patcher, *args, **kwargs):
        """(latent, report) of a run on a model of the pack's."""
        latent = self.sample(patcher, *args, **kwargs)
        return latent, self.report(patcher, latent)


def actions(report: dict, address: str) -> str:
    """What became of `address`, one letter for each evaluation."""
    (row,) = [row for row in report["addresses"] if row["address"] == address]
    return row["actions"]


def lora(model) -> dict:
    """Patches by weight, of each query."""
    generator = torch.Generator().manual_seed(4)
    return {name: ("diff", (torch.randn(weight.shape, generator=generator) * 0.1,))
            for name, weight in model.model.named_parameters() if name.endswith("to_q.weight")}


def with_lora(model):
    """A clone of the MODEL with these patches at half their strength."""
    patched = model.clone()
    assert patched.add_patches(lora(model), 0.5)
    return patched


def lora_schedule(patches: dict, switch=0.25, strengths=(1.0, 0.3)):
    """A LoRA (patches by weight) as a hook of conditionings, whose strength changes at `switch`, a share of the model's
    schedule."""
    import comfy.hooks
    hook = comfy.hooks.WeightHook()
    hook.weights = patches
    hook.need_weight_init = False
    group = comfy.hooks.HookGroup()
    group.add(hook)
    keyframes = comfy.hooks.HookKeyframeGroup()
    for strength, start in zip(strengths, (0.0, switch), strict=True):
        keyframes.add(comfy.hooks.HookKeyframe(strength, start))
    group.set_keyframes_on_hooks(keyframes)
    return group


def recorded_runs(monkeypatch, module) -> list:
    """The SamplingRuns that `module` of the glue makes from here on."""
    runs, original = [], module.SamplingRun

    def sampling_run(*args):
        runs.append(original(*args))
        return runs[-1]

    monkeypatch.setattr(module, "SamplingRun", sampling_run)
    return runs


def split_batches(monkeypatch, is_short=lambda: True):
    """The host finds memory short wherever `is_short()` says so as it puts conds together, and runs them one by one."""
    import comfy.model_management
    import comfy.model_patcher
    import comfy.samplers

    class Memory:
        def __getattr__(self, name):
            return getattr(comfy.model_management, name)

        @staticmethod
        def get_free_memory(*args, **kwargs):
            return 0 if is_short() else comfy.model_management.get_free_memory(*args, **kwargs)

    patcher = comfy.model_patcher.ModelPatcher
    if hasattr(patcher, "get_free_memory"):  # newer hosts ask the patcher
        monkeypatch.setattr(patcher, "get_free_memory", lambda self, device: Memory.get_free_memory(device))
    else:
        monkeypatch.setattr(comfy.samplers, "model_management", Memory())
