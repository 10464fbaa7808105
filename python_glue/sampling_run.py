"""State of one sampling run: made and dropped by a wrapper around the host's sampler call, found by the seam through
`transformer_options`. Nothing of a run outlives it but its report."""

import hashlib
import time
from collections import Counter

import torch
from comfy.patcher_extension import WrappersMP

from . import native
from .chunks import chunk_keys
from .cuda_graphs import RunGraphs
from .session import KEY, Session

RUN_KEY = "asdm_run"
_WRAPPERS = (WrappersMP.OUTER_SAMPLE, WrappersMP.PREDICT_NOISE, WrappersMP.CALC_COND_BATCH)


def latent_fingerprint(samples: torch.Tensor) -> str:
    """Names a latent by its content, so that a report node finds the run that made it."""
    data = samples.detach().to("cpu", torch.float32).contiguous()
    return hashlib.sha256(repr(tuple(data.shape)).encode() + data.numpy().tobytes()).hexdigest()


class SamplingRun:
    """One sampler call: evaluations and passes counted, weights resolved, times and reasons booked."""

    def __init__(self, session: Session, sigmas):
        self._session = session
        self._native = native.native_module().Run(session.settings(), sigmas.tolist(), session.unet)
        self._pass = -1
        self._macs_done = 0
        self._macs_full = 0
        self._seconds = {True: [], False: []}  # by "inherits": (batch rows, seconds) of each native call
        self._fallback_seconds = 0.0
        self._started = time.perf_counter()
        self.weights = None
        self.residency = None
        self.graphs = RunGraphs()
        self.fallbacks = Counter()

    def __deepcopy__(self, memo):
        return self  # lives in model options, which the host deep-copies when a patcher is cloned

    def begin_evaluation(self, sigmas: torch.Tensor):
        """`sigmas` [batch]: of this evaluation."""
        # Reading from a GPU waits for all its work, so it is done only where the reuse decision needs the value.
        self._native.begin_evaluation(float(sigmas.max()) if self._session.inheritance else 0.0)
        self._pass = -1

    def begin_pass(self):
        self._pass += 1

    def begin_call(self, x, control, transformer_options: dict, patcher):
        keys = chunk_keys(x, control, transformer_options, patcher, self._pass)
        return self._native.begin_call(keys, transformer_options.get("cond_or_uncond") or [], x)

    def end_call(self, features, x, tokens: int, output, seconds: float):
        """Books a native call on `x` [batch, channels, height, width] with `tokens` context tokens."""
        self._native.end_call(features, output)
        done, full = self._session.unet.call_macs(features, x.shape[-2], x.shape[-1], tokens)
        self._macs_done += x.shape[0] * done
        self._macs_full += x.shape[0] * full
        self._seconds[features.inherits].append((x.shape[0], seconds))

    def end_fallback(self, reason: str, seconds: float):
        self.fallbacks[reason] += 1
        self._fallback_seconds += seconds

    def _seconds_saved(self):
        """Against the mean full call of equal batch size; None where there is nothing to compare."""
        full = {}
        for rows, seconds in self._seconds[False]:
            full.setdefault(rows, []).append(seconds)
        compared = [(full[rows], seconds) for rows, seconds in self._seconds[True] if rows in full]
        if not compared:
            return None
        return sum(sum(of_full) / len(of_full) - seconds for of_full, seconds in compared)

    def report(self) -> dict:
        """What was done, in the terms of ASDMReport (docs/report.md)."""
        record = self._native.record
        session = self._session
        names = session.unet.node_addresses()
        blocks = names[:names.index("out")]
        native_calls = sum(map(len, self._seconds.values()))
        sites = [names[site] for site in session.sites()]
        by_node = zip(names, record["computed_nodes"], record["inherited_nodes"], record["forecast_nodes"], strict=True)
        addresses = [
            {"address": name, "computed": computed, "inherited": inherited + forecast,
             "not_run": native_calls - computed - inherited - forecast}
            for name, computed, inherited, forecast in by_node if name in blocks or name in sites]
        in_unet = sum(seconds for calls in self._seconds.values() for _, seconds in calls) + self._fallback_seconds
        return {
            "found": True,
            "evaluations": record["evaluations"], "full": record["full"], "inherited": record["inherited"],
            "native_calls": native_calls,
            "fallback_calls": sum(self.fallbacks.values()), "fallback_reasons": dict(self.fallbacks),
            "forced_refreshes": record["forced_refreshes"],
            "seconds": time.perf_counter() - self._started, "seconds_in_unet": in_unet,
            "seconds_saved": self._seconds_saved(),
            "cache_bytes": record["peak_cache_bytes"],
            "mac_share": self._macs_done / self._macs_full if self._macs_full else 1.0,
            "sites": sites,
            "addresses": addresses,
        }

    def close(self):
        """Drops features, graphs, weights and working memory."""
        self._native.release()
        self.graphs.close()
        self._session.unet.release_workspace()
        self.weights = None
        self.residency = None


def run_of(transformer_options: dict) -> SamplingRun | None:
    return transformer_options.get(RUN_KEY)


def _outer_sample(session: Session):
    def outer_sample(executor, noise, latent_image, sampler, sigmas, *args, **kwargs):
        options = executor.class_obj.model_options.setdefault("transformer_options", {})
        run = options[RUN_KEY] = SamplingRun(session, sigmas)
        try:
            samples = executor(noise, latent_image, sampler, sigmas, *args, **kwargs)
            session.reports.append((latent_fingerprint(samples), run.report()))
            return samples
        finally:
            options.pop(RUN_KEY, None)
            run.close()
    return outer_sample


def _predict_noise(executor, x, timestep, model_options, *args, **kwargs):
    run = run_of(model_options.get("transformer_options", {}))
    if run is not None:
        run.begin_evaluation(timestep)
    return executor(x, timestep, model_options, *args, **kwargs)


def _calc_cond_batch(executor, model, conds, x_in, timestep, model_options):
    run = run_of(model_options.get("transformer_options", {}))
    if run is not None:
        run.begin_pass()
    return executor(model, conds, x_in, timestep, model_options)


def install_run(patcher, session: Session):
    """Wraps the sampler calls of `patcher`; replaces what an earlier node of this pack installed."""
    wrappers = (_outer_sample(session), _predict_noise, _calc_cond_batch)
    for kind, wrapper in zip(_WRAPPERS, wrappers, strict=True):
        patcher.remove_wrappers_with_key(kind, KEY)
        patcher.add_wrapper_with_key(kind, KEY, wrapper)
