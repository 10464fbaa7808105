"""The seam: stands in for `diffusion_model._forward` on a cloned patcher, runs the native engine, and hands every call
that the engine does not know in full to the host's own forward."""

import json
import logging
import weakref

import torch

from . import native
from .control import residuals_of, span_of
from .cuda_graphs import has_room, obstacle
from .hooks import HostHooks, unknown_hooks
from .run_wrappers import install_run
from .sampling_run import run_of
from .session import KEY, Session, new_reports
from .span import Span, moment
from .unet_config import SD_FAMILIES, describe
from .weights import Refusal, host_weights, residency

SEAM = "diffusion_model._forward"
log = logging.getLogger("asdm")


def _call_refusal(x, context, kwargs, transformer_options) -> str:
    """Why this call must go to the host; empty where the engine runs it."""
    if torch.is_grad_enabled():
        return "gradients are enabled"
    unknown = unknown_hooks(transformer_options)
    if unknown:
        return "unknown " + ", ".join(sorted(unknown))
    if not torch.is_tensor(context) or context.dim() != 3:
        return f"context is {type(context).__name__}"
    if x.dim() != 4:
        return f"input has {x.dim()} dimensions"
    for name in ("num_video_frames", "time_context", "image_only_indicator"):
        if kwargs.get(name) is not None:
            return f"argument {name}"
    return ""


def _control_lists(control) -> dict:
    """Copies: the host's forward empties its lists while it runs, the engine leaves them as they are."""
    return {} if control is None else {name: list(control.get(name) or ()) for name in ("input", "middle", "output")}


class NativeForward:
    """Callable with the signature of the host's `UNetModel._forward`. In a run, the run's settings are in force."""

    profile = None  # a native Profile that watches all calls, while somebody measures where their time goes

    def __init__(self, session: Session, diffusion_model):
        self._session = session
        self._diffusion_model = weakref.ref(diffusion_model)  # the host stores this object inside that module
        self._logged = set()
        self._attn_precision = next(
            (block.attn_precision for block in diffusion_model.modules() if hasattr(block, "attn_precision")), None)

    def __deepcopy__(self, memo):
        return self

    @torch.compiler.disable
    def __call__(self, x, timesteps=None, context=None, y=None, control=None, transformer_options=None, **kwargs):
        transformer_options = {} if transformer_options is None else transformer_options
        run = self._run(transformer_options)
        session = self._session if run is None else run.session
        started = moment(x.device)
        reason = _call_refusal(x, context, kwargs, transformer_options)
        if not reason:
            try:
                weights = self._weights(session, x.device, run)
            except Refusal as refusal:
                reason = str(refusal)
        if reason:
            return self._fall_back(reason, run, x, timesteps, context, y, control, transformer_options, kwargs)
        patcher = getattr(session.base_model(), "current_patcher", None)
        if run is None:
            features, residuals = native.native_module().CallFeatures(), residuals_of(control)
        else:
            features, residuals = run.begin_call(x, control, transformer_options, patcher)
        transformer_options["original_shape"] = list(x.shape)
        hooks = HostHooks(transformer_options, self._diffusion_model().model_channels, self._attn_precision)
        output = self._forward(session, x, timesteps, context, y, residuals, weights, hooks, features, run)
        if run is not None:
            run.end_call(features, x, context.shape[1], output, Span(started, moment(x.device), span_of(control)))
        return output

    def _run(self, transformer_options: dict):
        """The run that this call belongs to; None outside of one, and in a run of another model."""
        run = run_of(transformer_options)
        return run if run is not None and run.session.base_model() is self._session.base_model() else None

    def _forward(self, session, x, timesteps, context, y, residuals, weights, hooks, features, run):
        dtype = session.compute_dtype or x.dtype
        inputs = {"x": x.to(dtype), "timesteps": timesteps, "context": context.to(dtype)}
        if y is not None:
            inputs["y"] = y.to(dtype)

        patcher = getattr(session.base_model(), "current_patcher", None)
        projections = None if run is None else run.projections(weights, patcher)

        def forward(inputs, features):
            return session.unet.forward(
                **{"y": None} | inputs, control=_control_lists(residuals), weights=weights.source, hooks=hooks,
                features=features, profile=self.profile, projections=projections,
                reuses_sums=projections is not None)

        if run is None or obstacle(inputs, residuals, hooks, self.profile, weights.all_resident):
            return forward(inputs, features)
        hooks.poll()  # a graph asks nobody
        return run.graphs.forward(forward, inputs, features, weights,
                                  room=lambda: has_room(session.base_model(), x))

    def _weights(self, session, device, run):
        """Resolved once per run, and anew whenever the host moved or patched them; for each call outside a run."""
        diffusion_model = self._diffusion_model()
        if run is None:
            return host_weights(diffusion_model, session.unet, device)
        now = (device, residency(session.base_model()))
        if run.weights is None or run.residency != now:
            run.weights = host_weights(diffusion_model, session.unet, device)
            run.residency = now
        return run.weights

    def _fall_back(self, reason, run, x, timesteps, context, y, control, transformer_options, kwargs):
        if reason not in self._logged:
            self._logged.add(reason)
            log.warning("the host's own forward runs instead of the native engine: %s", reason)
        diffusion_model = self._diffusion_model()
        residuals = residuals_of(control)
        started = moment(x.device)
        output = type(diffusion_model)._forward(diffusion_model, x, timesteps, context, y, residuals,
                                                transformer_options, **kwargs)
        if run is not None:
            run.end_fallback(reason, Span(started, moment(x.device)))
        return output


def new_session(base_model, reports=None, where: str = "ASDM") -> Session:
    """Settings that leave everything to the host. RuntimeError at `where` if `base_model` holds no Stable Diffusion
    UNet."""
    described = describe(base_model)
    if described["refusal"]:
        raise RuntimeError(f"{where}: expected the UNet of {SD_FAMILIES}, got {described['class_name']}: "
                           f"{described['refusal']}")
    spec = described["spec_json"]
    return Session(unet=native.native_module().UNet(spec), base_model=weakref.ref(base_model),
                   family=json.loads(spec)["family"], reports=new_reports() if reports is None else reports)


def check_seam(patcher):
    """RuntimeError where another pack holds the seam, since only one forward can stand there."""
    standing = patcher.object_patches.get(SEAM)
    if standing is not None and not isinstance(standing, NativeForward):
        raise RuntimeError(
            f"ASDM: expected a MODEL whose UNet forward is the host's, got one that {type(standing).__module__} "
            f"already replaced ({SEAM}); remove that node from the graph or place it on a model without ASDM nodes")


def install(patcher, session: Session):
    """Puts the engine into `patcher`, a fresh clone, in place of what an earlier node of this pack installed.
    RuntimeError as check_seam()."""
    check_seam(patcher)
    patcher.set_attachments(KEY, session)
    patcher.add_object_patch(SEAM, NativeForward(session, patcher.model.diffusion_model))
    install_run(patcher, session)
