"""Every mode, value and kind of site of feature inheritance, at a setting that is fair to it."""

from support.quality_settings import of_20, our_setting, phases_of

FULL = of_20(7)  # as many as interval 3
PHASES = phases_of("out.10 out.8 out.6", (0.5, 0.8, 1))  # what "auto" stands for in mode segment


def _mode(mode: str, reason: str, **inputs):
    return our_setting(f"mode {mode}", reason, sites=PHASES, mode=mode, **inputs)


def _value(value: str, reason: str):
    return our_setting(f"value {value}", reason, sites="auto", mode="segment", full_evaluations=of_20(3), value=value)


def _sites(sites: str, reason: str, level: str = "block", **inputs):
    label = " ".join([f"sites {sites}", *(str(value) for value in inputs.values())])
    return our_setting(label, reason, level=level, sites=sites, interval=2, **inputs)


TRIED_SETTINGS = (
    *(_mode(mode, "placed ahead of the run", full_evaluations=FULL)
      for mode in ("uniform", "front", "triangular", "quadratic", "centre", "centre_published", "growing",
                   "growing_published", "log_snr", "equal_change")),
    _mode("adaptive", "a budget that the controller places", full_evaluations=FULL),
    our_setting("mode adaptive, threshold 0.1", "progressive depth", sites="auto", mode="adaptive", threshold=0.1),
    our_setting("mode easycache, threshold 0.1", "EasyCache's rule", sites="auto", mode="easycache", threshold=0.1),
    our_setting("mode segment, auto", "the pack's default", sites="auto", mode="segment", full_evaluations=FULL),
    *(_value(value, "what stands in, near 3x") for value in ("hold", "taylor1", "taylor2", "affine")),
    _sites("out", "the whole UNet"),
    _sites("out", "the whole UNet, forecast", value="taylor1"),
    _sites("encoder", "Faster Diffusion's"),
    _sites("deepcache", "the shallowest cut"),
    _sites("guidance", "the uncond half"),
    _sites("transformers", "whole transformers", level="layer"),
    _sites("second_layers", "what pruned UNets live without", level="layer"),
    _sites("attn1", "self-attention", level="unit"),
    _sites("attn2", "cross-attention", level="unit"),
)
