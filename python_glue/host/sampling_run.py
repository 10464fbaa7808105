"""State of one sampling run, found by the seam through `transformer_options`. Nothing of it outlives the run but its
report."""

import logging
import threading
import time
from collections import Counter
from contextlib import contextmanager

import torch

from .. import native
from .bound_unet import BoundUNet
from .canvas import Canvas
from .chunks import Chunks, acting_conds, chunks_of, what_changed
from .control import ControlLedger, PromisedControl, control_lists, with_stand_ins
from .kept_memory import element_size
from .report import address_rows, control_row, idle_evaluations, idle_notes, inherited_sites, plan_notes, recorded_plan
from .settings import EngineSettings
from .span import Span

RUN_KEY = "asdm_run"
# Sites behind which no ControlNet is needed, or none is asked.
_WITHOUT_CONTROL = frozenset(("out", "control"))


class SamplingRun:
    """One sampler call: evaluations and passes counted, times and reasons booked."""

    def __init__(self, settings: EngineSettings, patcher, sigmas, switch=None, where: str = "ASDM"):
        """`patcher`: the one that the sampler holds; `switch`: where this is the late UNet's part of a run that several
        UNets share. RuntimeError at `where` where the patcher holds no Stable Diffusion UNet."""
        native.native_module().set_log_level(logging.getLogger("asdm").getEffectiveLevel())
        self.settings = settings
        self.where = where
        self._element_size = element_size(settings, patcher.model)
        self.bound = BoundUNet.of(patcher, where)
        self._unets = [self.bound]  # and those of the model on other devices
        self.hosted = self.bound.hosted
        self.lock = threading.RLock()  # what is booked here, by calls that may come in threads
        self._threads = {threading.get_ident()}
        self._ambiguous = set()
        self.switch = switch
        self._steps = len(sigmas) - 1
        self._native = native.native_module().Run(self.hosted.inheritance(settings), sigmas.tolist(),
                                                  self.hosted.unet)
        self._sigmas = []  # of each evaluation, a tensor where the run need not know it
        self._seen = Counter()  # chunks of this pass
        self._canvas = None  # of this pass
        self._nameless = Counter()  # calls that were to inherit and could not be told apart, by reason
        self._acting = {}  # pass -> conds of the evaluation before
        self._macs_done = 0
        self._macs_full = 0
        self._spans = {True: [], False: []}  # by "inherits": (batch rows, Span) of each native call
        self._calls_with_hooks = 0
        self._fallback_spans = []
        self._fallback_evaluations = set()
        self._started = time.perf_counter()
        self._control = ControlLedger()
        self._sites = frozenset(self._native.sites)
        self._whole = len(self.hosted.blocks)
        self._left_out = set()
        self.call_size = None  # (height, width, tokens) of the last call
        self.block_shapes = {}  # of the host's values of blocks, for HostWalk
        self._predicting = False
        self.host_walks = Counter()  # calls that the host's own forward made block by block, by reason
        self.fallbacks = Counter()
        self.without_graphs = Counter()  # calls on a GPU that could not be CUDA graphs, by reason
        self.notes = list(settings.notes)
        self.other_caches = []
        self.superseded = False  # by a sampler with settings of its own: this run is none
        if settings.inheritance and not self._native.ever_inherits:
            self.notes.append("these settings inherit nothing in this run")

    def __deepcopy__(self, memo):
        return self  # lives in model options, which the host deep-copies when a patcher is cloned

    def add_devices(self, patchers):
        """The same model on other devices: the host computes conds of one evaluation on all of them at once."""
        self._unets += [BoundUNet.of(patcher) for patcher in patchers if not any(
            bound.is_of(patcher.model.diffusion_model) for bound in self._unets)]

    def bound_for(self, module) -> BoundUNet | None:
        """The UNet of a call of the diffusion model `module`; None where it is none like that of the run."""
        with self.lock:
            for bound in self._unets:
                if bound.is_of(module):
                    return bound
            found = self.bound.like(module)
            self._unets += [] if found is None else [found]
            return found

    @property
    def inherits(self) -> bool:
        return bool(self.settings.inheritance) and self._native.ever_inherits

    @property
    def measures(self) -> bool:
        """Whether the reuse decision needs the input of the UNet."""
        return self._native.measures

    def begin_evaluation(self, sigmas: torch.Tensor, x: torch.Tensor | None = None):
        """`sigmas` [batch]: of this evaluation; `x` [batch, channels, height, width]: the latent as the UNet gets it,
        where the run measures."""
        if not sigmas.numel():
            raise ValueError(f"{self.settings.asked_at or 'ASDM'}: expected a latent of at least one picture, got none")
        largest, measured = sigmas.max(), None
        if self.settings.inheritance:
            # Reading from a GPU waits for all its work: at most once, and only where the reuse decision needs it.
            measured = None if x is None else self._native.measure(x)
            if measured is None:
                largest = float(largest)
            else:
                largest, measured = torch.stack((largest, measured)).tolist()
        self._sigmas.append(largest)
        self._native.begin_evaluation(largest if self.settings.inheritance else 0.0, measured)
        self._seen.clear()
        self._control.begin_evaluation()

    @property
    def sigma(self):
        """Of this evaluation, the largest of the batch: a number where the run inherits, else a tensor."""
        return self._sigmas[-1]

    def declare(self, kept: int) -> int:
        """The bytes that features of all calls of an evaluation take, where those of one that comes take `kept`."""
        with self.lock:
            return self._native.declare(kept)

    @contextmanager
    def predicting(self):
        """The host's guider predicts; what it calls inside belongs to one evaluation."""
        self._predicting = True
        try:
            yield
        finally:
            self._predicting = False

    def is_new_evaluation(self, sigmas: torch.Tensor) -> bool:
        """Whether a pass at `sigmas` [batch] begins an evaluation, though no guider's prediction was announced."""
        return not self._predicting and (not self._sigmas or float(sigmas.max()) != float(self._sigmas[-1]))

    def begin_pass(self, conds: list, canvas: Canvas) -> list:
        """The conds to run on the latent of `canvas`, those with a ControlNet behind a stand-in."""
        number = self._native.begin_pass()
        self._canvas = canvas
        self._seen.clear()
        if self.settings.inheritance:
            acting = acting_conds(conds, self.sigma)
            if self._native.evaluation and number not in self._acting:
                self._native.begin_fresh_calls("guidance began in the evaluation before")
            before = self._acting.get(number, acting)
            # What is new has no features yet. The host may ask for the others first; they must not be older than its.
            if reason := what_changed(before, acting):
                self._native.refuse_rest(reason)
            self._acting[number] = acting
        return with_stand_ins(conds, self) if _WITHOUT_CONTROL & self._sites else conds

    def leave_out(self, structure):
        """Sites inside of what the host runs are not inherited. ValueError where no others are left."""
        self._leave_out(self.bound.closed(structure), "the host's own code runs what is around it")

    def leave_out_all_but_blocks(self):
        """The host's own forward calls the blocks: nothing inside of them can be inherited."""
        inside = {self.hosted.addresses[node] for nodes in self.hosted.inside for node in nodes}
        self._leave_out(inside | {"guidance"}, "the host's own forward calls the blocks")

    def _leave_out(self, addresses: set, reason: str):
        if addresses == self._left_out:
            return
        self._left_out = addresses
        self._native.leave_out(sorted(addresses))
        sites = {site.partition(":")[0] for site in self._sites}
        lost = sorted(sites & addresses)
        if lost and lost == sorted(sites - {"control"}):
            raise ValueError(f"{self.settings.asked_at or 'ASDM'}.sites: expected a site that can be inherited, got "
                             f"{', '.join(lost)}: {reason}; name the layer or the block around it")
        if lost:
            self.note(f"not inherited, as {reason}: {', '.join(lost)}")

    def note(self, text: str):
        if text not in self.notes:
            self.notes.append(text)

    def begin_call(self, bound: BoundUNet, x, control, transformer_options: dict):
        """(features, residuals) of a call on `x` [batch, channels, height, width] with the `control` that the host
        brings, promised or given."""
        promised = isinstance(control, PromisedControl)
        has_control = control.expected if promised else control is not None
        chunks = chunks_of(x, has_control, transformer_options, self._unets.index(bound), bound.current_patcher,
                           self._native.pass_number, self._seen, self._canvas) if self.inherits else Chunks()
        self._threads.add(threading.get_ident())
        if len(self._threads) > 1:
            # Chunks that differ in their order alone cannot be told apart where threads bring them in any order.
            self._ambiguous.update(name for name, count in self._seen.items() if count > 1)
            if self._ambiguous.intersection(chunks.names):
                chunks = Chunks(reason="calls that differ in their order alone came in threads")
        if chunks.reason and self._native.sites_now:
            self._nameless[chunks.reason] += 1
            self._native.refuse_rest("another call of the evaluation was computed")
        features = self._native.begin_call(
            chunks.keys, chunks.roles, x.shape[0],
            self.hosted.kept_bytes(self.settings, x.shape, self._element_size, x.device))
        return features, self._residuals(control, features, x.shape[0]) if promised else control

    def _residuals(self, control: PromisedControl, features, rows: int):
        if features.holds(self._whole):
            self._control.skip(control)
            return None
        if features.inherits_control:
            return self._control.stand_in(features.inherited_control())
        residuals = self._control.ask(control)
        if features.wants_control:
            features.keep_control(control_lists(residuals), rows)
        return residuals

    def projections(self, bound: BoundUNet, binding):
        """See BoundUNet.projections()."""
        with self.lock:
            return bound.projections(binding, self._native.clear_derived)

    def end_call(self, features, x, tokens: int, output, span: Span, hooked: bool = False):
        """Books a call on `x` [batch, channels, height, width] and `tokens` context tokens, which gave `output`;
        `hooked`: hooks of the host's ran between its layers."""
        self._calls_with_hooks += hooked
        self.call_size = (*x.shape[-2:], tokens)
        self._native.end_call(features, output)
        done, full = self.hosted.unet.call_macs(features, x.shape[-2], x.shape[-1], tokens)
        self._macs_done += x.shape[0] * done
        self._macs_full += x.shape[0] * full
        self._spans[features.inherits].append((x.shape[0], span))

    def end_host_walk(self, reason: str, walk, features, x, tokens: int, output, span: Span):
        """Books a call of the host's own forward, whose blocks came by `walk` where it calls them as the host does."""
        if not walk.met and not features.inherits:
            self.note(f"{reason}: it calls no block the way the host does, so nothing can be inherited")
            self.end_fallback(reason, span)
            return
        with self.lock:
            self.host_walks[reason] += 1
            self.end_call(features, x, tokens, output, span)

    def end_fallback(self, reason: str, span: Span):
        with self.lock:
            self.fallbacks[reason] += 1
            self._fallback_evaluations.add(self._native.evaluation)
            self._fallback_spans.append(span)

    def _book_bypass(self, idle: list[int]):
        """Books the `idle` evaluations to the host where its UNet has a forward that asks no wrapper."""
        reason = self.bound.bypass() if idle and not self.other_caches else ""
        if reason:
            self.note(f"{reason}: it asks no wrapper, so nothing can be inherited")
            self.fallbacks[reason] += len(idle)
            self._fallback_evaluations.update(idle)

    def _seconds_saved(self):
        """In the UNet against the mean full call of equal batch size, and in ControlNets against the mean of those that
        ran; None where there is nothing to compare."""
        full = {}
        for rows, span in self._spans[False]:
            full.setdefault(rows, []).append(span.seconds)
        compared = [(full[rows], span.seconds) for rows, span in self._spans[True] if rows in full]
        if not compared:
            return None
        saved = sum(sum(of_full) / len(of_full) - seconds for of_full, seconds in compared)
        asked = [span.seconds for span in self._control.spans]
        return saved + (self._control.skipped * sum(asked) / len(asked) if asked else 0.0)

    @property
    def macs(self) -> tuple[float, float]:
        """(computed, in full calls) multiply-accumulates; an evaluation in which nobody called the UNet counts as one
        that was saved whole."""
        evaluations = len(self._sigmas)
        idle = len(idle_evaluations(self._native.record["log"], self._fallback_evaluations))
        return self._macs_done, self._macs_full * evaluations / max(evaluations - idle, 1)

    def report(self) -> dict:
        """What was done, in the terms of ASDMReport (docs/report.md)."""
        record = self._native.record
        settings, log = self.settings, record["log"]
        inherited = sum(bool(entry["sites"]) for entry in log)
        self._book_bypass(idle_evaluations(log, self._fallback_evaluations))
        idle = len(idle_evaluations(log, self._fallback_evaluations))
        for entry, sigma in zip(log, self._sigmas, strict=True):
            entry["sigma"] = float(sigma)
        names = self.hosted.addresses
        addresses = address_rows(names, record, self._fallback_evaluations)
        if self._control.calls:
            addresses = [row for row in addresses if row["address"] != "control"] + [control_row(self._control)]
        native_calls = sum(map(len, self._spans.values())) - sum(self.host_walks.values())
        done, in_full = self.macs
        spans = [span for calls in self._spans.values() for _, span in calls] + self._fallback_spans
        return {
            "found": True,
            "steps": self._steps, "evaluations": record["evaluations"],
            "full": record["evaluations"] - inherited - idle, "inherited": inherited, "idle": idle,
            "native_calls": native_calls, "calls_with_hooks": self._calls_with_hooks,
            "fallback_calls": sum(self.fallbacks.values()), "fallback_reasons": dict(self.fallbacks),
            "host_walks": dict(self.host_walks),
            "native_share": min(bound.native_share for bound in self._unets) if native_calls else 0.0,
            "places": [place.row() for bound in self._unets for place in bound.places.values() if place.calls],
            "forced_refreshes": dict(self._nameless + Counter(record["forced_refreshes"])),
            "control_calls": self._control.calls, "skipped_control_calls": self._control.skipped,
            "seconds": time.perf_counter() - self._started, "seconds_in_unet": sum(span.seconds for span in spans),
            "seconds_saved": self._seconds_saved(),
            "cache_bytes": record["peak_cache_bytes"] + sum(bound.projected.peak_bytes for bound in self._unets),
            "mac_share": done / in_full if in_full else 1.0,
            "sites": inherited_sites(names, log), "sigmas": [entry["sigma"] for entry in log],
            "addresses": addresses, "plan": recorded_plan(settings, self.hosted.family, self._steps, log),
            "other_caches": self.other_caches,
            "notes": [*self.notes,
                      *idle_notes(idle, self.other_caches),
                      *self._idle_settings(),
                      *(f"{calls} calls without CUDA graphs: {why}" for why, calls in self.without_graphs.items()),
                      *(plan_notes(settings.plan(), self.hosted.family, log) if settings.plan() else ())],
        }

    def _idle_settings(self) -> list[str]:
        module = native.native_module()
        asked = self.settings.inheritance
        return module.idle_settings(asked, len(self._sigmas)) if isinstance(asked, module.InheritanceRequest) else []

    def clear(self):
        """Drops features, residuals and projections: another UNet goes on from here."""
        self._native.clear()
        for bound in self._unets:
            bound.clear()

    def close(self):
        """Drops features, residuals, projections, graphs, weights and working memory."""
        self.clear()
        for bound in self._unets:
            bound.release()


def run_of(transformer_options: dict) -> SamplingRun | None:
    return transformer_options.get(RUN_KEY)
