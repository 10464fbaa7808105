"""The seam: a wrapper around the host's call of the UNet, innermost of all, that runs the engine in its place.

It holds settings alone. Which UNet runs, and with which weights, is told by the module that is called: the host clones
MODELs around other models, copies them, and runs several at once.
"""

import logging
import threading
from functools import partial

import torch
from comfy.patcher_extension import CallbacksMP, WrapperExecutor, WrappersMP

from .. import native
from .assembled_unet import AssembledUNet
from .control import control_lists, residuals_of, span_of
from .cuda_graphs import has_room, obstacle
from .dynamic_vram import outside_allocation_graph
from .hooks import HostHooks, attention_precision, unread_by_engine
from .host_walk import HostWalk
from .hosted_unet import HostedUNet, adopted_unet, drop_graphs, hosted_unet
from .run_wrappers import install_run
from .sampling_run import run_of
from .settings import KEY, EngineSettings
from .span import Span, time_stamp
from .trust import structure_in_force
from .weights import bind

log = logging.getLogger("asdm")
_local = threading.local()


def _call_refusal(x, context) -> str:
    """Why nothing of this call can run but the host's own forward; empty where the engine runs it."""
    if torch.is_grad_enabled():
        return "gradients are enabled"
    if not torch.is_tensor(context) or context.dim() != 3:
        return f"context is {type(context).__name__}"
    if x.dim() != 4:
        return f"input has {x.dim()} dimensions"
    return ""


class EngineForward:
    """Wrapper of the host's DIFFUSION_MODEL kind. In a run, the run's settings are in force."""

    profile = None  # a native Profile that watches all calls, while somebody measures where their time goes

    def __init__(self, settings: EngineSettings, spec):
        """`spec`: the structure of the MODEL's UNet, for calls of copies of it outside of a run."""
        self.settings = settings
        self._spec = spec
        self._logged = set()

    def __deepcopy__(self, memo):
        return self

    @torch.compiler.disable
    def __call__(self, executor, x, timesteps=None, context=None, y=None, control=None, transformer_options=None,
                 *arguments, **named):
        """The wrappers behind this one come first, as they would have been around the host's forward."""
        options = {} if transformer_options is None else transformer_options
        behind = [wrapper for wrapper in executor.wrappers[executor.idx + 1:]
                  if not isinstance(wrapper, EngineForward)]
        forward = partial(self._called, executor.class_obj, executor.original)
        if not behind:
            return forward(x, timesteps, context, y, control, options, *arguments, **named)
        return WrapperExecutor.new_class_executor(forward, executor.class_obj, behind).execute(
            x, timesteps, context, y, control, options, *arguments, **named)

    def _called(self, module, original, x, timesteps=None, context=None, y=None, control=None,
                transformer_options=None, *arguments, **named):
        """One call of the diffusion model `module`, whose own forward is `original`."""
        options = {} if transformer_options is None else transformer_options
        run = run_of(options)
        bound = None if run is None else run.bound_for(module)
        hosted = adopted_unet(module, self._spec) if run is None else bound and bound.hosted
        call = EngineCall(self, run, bound, hosted, module, original, options, arguments, named)
        if hosted is None or getattr(_local, "inside", False):
            return call.by_host("its UNet is none that the engine knows", x, timesteps, context, y, control)
        with hosted.lock:
            _local.inside = True
            try:
                return call.run(x, timesteps, context, y, control)
            finally:
                _local.inside = False

    def tell_once(self, message: str):
        if message not in self._logged:
            self._logged.add(message)
            log.warning(message)


class EngineCall:
    """One call of a UNet."""

    def __init__(self, seam: EngineForward, run, bound, hosted: HostedUNet | None, module, original, options: dict,
                 arguments: tuple, named: dict):
        """`run`, `bound`: the sampling run that it belongs to, and its UNet there; None outside of one."""
        self._seam = seam
        self._run = run
        self._bound = bound
        self._settings = seam.settings if run is None else run.settings
        self._hosted = hosted
        self._module = module
        self._original = original
        self._options = options
        self._arguments = arguments
        self._named = named

    def run(self, x, timesteps, context, y, control):
        reason = _call_refusal(x, context)
        if reason:
            return self.by_host(reason, x, timesteps, context, y, control)
        walk, layers, transformers = unread_by_engine(self._options, self._named, self._arguments)
        structure = structure_in_force(self._module, self._hosted, self._bound, layers, transformers)
        if walk and isinstance(self._module, AssembledUNet):  # its own forward has no place for it either
            self._leave_unheard(walk)
            walk = ""
        walk = walk or structure.walk_reason
        if walk:
            return self._by_host_walk(walk, x, timesteps, context, y, control)
        return self._by_engine(structure, x, timesteps, context, y, control)

    def _leave_unheard(self, what: str):
        message = f"a compressed UNet has no place for {what}, which is left out"
        self._seam.tell_once(message)
        if self._run is not None:
            self._run.note(message)

    def _begin(self, x, control):
        """(features, residuals) of the call."""
        if self._run is None:
            return native.native_module().CallFeatures(), residuals_of(control)
        with self._run.lock:
            return self._run.begin_call(self._bound, x, control, self._options)

    def _by_engine(self, structure, x, timesteps, context, y, control):
        started = time_stamp(x.device)
        run, unet = self._run, self._hosted.unet
        binding = (bind(self._module, unet, structure, x.device, {}) if run is None
                   else self._bound.bind(structure, x.device))
        if run is not None:
            with run.lock:
                run.leave_out(structure)
        features, residuals = self._begin(x, control)
        self._options["original_shape"] = list(x.shape)
        inputs = self._inputs(x, timesteps, context, y)
        hooks = HostHooks(self._options, self._module.model_channels, attention_precision(self._module), inputs)
        if binding.host is not None:
            binding.host.begin(self._options, self._named)
        with outside_allocation_graph(), binding.for_call(tuple(x.shape), partial(self._has_room, x)) as at_hand:
            output = self._forward(at_hand, inputs, residuals, hooks, features)
        if run is None:
            unet.release_workspace()  # nobody says when the last call of a kind was made
        else:
            with run.lock:
                span = Span(started, time_stamp(x.device), span_of(control))
                run.end_call(features, x, context.shape[1], output, span, hooks.follows_blocks)
        return output

    def _has_room(self, x, pages: int) -> bool:
        """Whether a call on `x` has the memory while pages of so many bytes stay where they are."""
        patcher = None if self._bound is None else self._bound.patcher
        return patcher is not None and has_room(patcher, x, kept=pages, calls=1)

    def _inputs(self, x, timesteps, context, y) -> dict:
        """As the engine takes them: what the host would spread over the batch is spread, what it would not read is
        left out."""
        dtype = self._settings.compute_dtype or x.dtype
        timesteps = timesteps.to(torch.float32).reshape(-1)
        inputs = {"x": x.to(dtype), "timesteps": timesteps.expand(x.shape[0]) if timesteps.shape[0] == 1 else timesteps,
                  "context": context.to(dtype)}
        if y is not None and getattr(self._module, "num_classes", None) is not None:
            inputs["y"] = y.to(dtype)
        return inputs

    def _forward(self, binding, inputs: dict, residuals, hooks, features):
        run, profile = self._run, self._seam.profile
        projections = None if run is None else run.projections(self._bound, binding)

        def forward(inputs, features):
            return self._hosted.unet.forward(
                **{"y": None} | inputs, control=control_lists(residuals), weights=binding.source, hooks=hooks,
                features=features, profile=profile, projections=projections, reuses_sums=projections is not None,
                host=binding.host_native)

        reason = "" if run is None else obstacle(inputs, residuals, hooks, profile, binding)
        if run is None or reason:
            if inputs["x"].device.type == "cuda" and run is not None:
                run.without_graphs[reason] += 1
                if not binding.all_resident and binding.pages is None:  # memory is short, and weights come and go
                    self._bound.graphs.drop()
            return forward(inputs, features)
        hooks.poll()  # a graph asks nobody
        return self._bound.graphs.forward(forward, inputs, features, binding,
                                          room=lambda: has_room(self._bound.patcher, inputs["x"]))

    def _by_host_walk(self, reason: str, x, timesteps, context, y, control):
        """The host's own forward, of which whole blocks are inherited where that is due."""
        if self._run is None or not self._run.inherits:
            return self.by_host(reason, x, timesteps, context, y, control)
        started = time_stamp(x.device)
        walk = HostWalk(self._hosted, self._module, self._run.block_shapes)
        self._run.leave_out_all_but_blocks()
        features, residuals = self._begin(x, control)
        # The host takes what it has added out of the lists, and may be called twice.
        output = walk.run(features, x, lambda: self._original(
            x, timesteps, context, y, None if residuals is None else control_lists(residuals), self._options,
            *self._arguments, **self._named))
        self._tell(reason)
        self._run.end_host_walk(reason, walk, features, x, context.shape[1], output,
                                Span(started, time_stamp(x.device), span_of(control)))
        return output

    def by_host(self, reason: str, x, timesteps, context, y, control):
        self._tell(reason)
        residuals = residuals_of(control)
        started = time_stamp(x.device)
        output = self._original(x, timesteps, context, y, residuals, self._options, *self._arguments, **self._named)
        if self._run is not None:
            self._run.end_fallback(reason, Span(started, time_stamp(x.device)))
        return output

    def _tell(self, reason: str):
        self._seam.tell_once(f"the host's own forward runs instead of the native engine: {reason}")


def add_seam(options: dict, settings: EngineSettings, spec):
    """Puts the engine into model options, in place of what was there of this pack."""
    wrappers = options.setdefault("transformer_options", {}).setdefault("wrappers", {})
    wrappers.setdefault(WrappersMP.DIFFUSION_MODEL, {})[KEY] = [EngineForward(settings, spec)]


def install(patcher, settings: EngineSettings):
    """Puts the engine into `patcher`, a fresh clone, in place of what an earlier node of this pack installed."""
    patcher.set_attachments(KEY, settings)
    patcher.remove_callbacks_with_key(CallbacksMP.ON_DETACH, KEY)
    patcher.add_callback_with_key(CallbacksMP.ON_DETACH, KEY, drop_graphs)
    add_seam(patcher.model_options, settings, hosted_unet(patcher.model).spec)
    install_run(patcher, settings)
