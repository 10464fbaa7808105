"""Feature inheritance once more, in a few lines of patches on the host's own UNet: what the engine is held against.

The patch computes everything, and then puts the stored feature in the place of the fresh one. So it saves nothing, and
it shares nothing with the engine: it runs cond and uncond one by one and knows conditionings by their content.
"""

from collections import Counter

KEY = "patched_inheritance"
# Relative errors of latents: of the engine's against the patch's, and of both against a run that inherits nothing.
EQUAL = 1e-4  # rounding, carried on through a few steps
DIFFERENT = 1e-3


class PatchedInheritance:
    """A clone of `patcher` that inherits what enters the output block behind `cut` ("out.8"), held, at all evaluations
    but those for which `is_full(index)`. Batches must be split (hosted_model.split_batches)."""

    def __init__(self, patcher, is_full=lambda index: index % 3 == 0, cut="out.8"):
        from comfy.patcher_extension import WrappersMP
        self._is_full = is_full
        self._behind = ("output", int(cut.removeprefix("out.")) + 1)
        self.sigmas = []  # of each evaluation
        self.actions = []  # of each evaluation: a letter for each call, as in reports
        self._kept = {}  # key -> (sigma, feature)
        self.patcher = patcher.clone()
        self.patcher.set_model_output_block_patch(self._exchange)
        self.patcher.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, self._predict_noise)
        self.patcher.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, self._forward)

    def __deepcopy__(self, memo):
        return self  # the host deep-copies what its options hold, such as our patch, when a patcher is cloned

    def _predict_noise(self, executor, x, timestep, *args, **kwargs):
        self.sigmas.append(float(timestep.max()))
        self.actions.append("")
        self._seen = Counter()
        return executor(x, timestep, *args, **kwargs)

    def _forward(self, executor, x, timesteps, context, *args, **kwargs):
        (options,) = [value for value in args if isinstance(value, dict) and "cond_or_uncond" in value]
        assert len(options["cond_or_uncond"]) == 1, "batches are not split"
        hooks = self.patcher.model.current_patcher.current_hooks
        strengths = () if hooks is None else tuple(hook.strength for hook in hooks.hooks)
        self._key = (context.numpy().tobytes(), tuple(x.shape), strengths)
        self._seen[self._key] += 1
        return executor(x, timesteps, context, *args, **kwargs)

    def _exchange(self, h, hsp, options):
        if options["block"] != self._behind:
            return h, hsp
        key = (self._key, self._seen[self._key])
        sigma, feature = self._kept.get(key, (0.0, None))
        if feature is None or self._is_full(len(self.sigmas) - 1) or sigma < self.sigmas[-1] * (1 - 1e-4):
            self._kept[key] = (self.sigmas[-1], h.clone())
            self.actions[-1] += "c"
            return h, hsp
        self.actions[-1] += "i"
        return feature.clone(), hsp

    @property
    def evaluations(self) -> str:
        """One letter for each evaluation, as in reports; fails where calls of one differ."""
        assert all(len(set(calls)) == 1 for calls in self.actions), self.actions
        return "".join(calls[0] for calls in self.actions)
