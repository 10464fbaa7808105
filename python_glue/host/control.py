"""ControlNets of a run that inherits: a ControlNet is asked for its residuals only where the UNet needs fresh ones.

The host runs ControlNets before it calls the UNet, and so before anybody knows what the UNet will inherit. So its
conds get a stand-in for their control, which promises the residuals; the seam then asks for them, takes those that it
kept, or leaves the ControlNet alone.
"""

from collections.abc import Mapping
from functools import partial

import torch

from .span import Span, time_stamp

_LISTS = ("input", "middle", "output")


def _acts_at(control, sigma: float) -> bool:
    """Whether `control`, or one that it follows, is in its range; outside of it the host's ControlNets give nothing."""
    while control is not None:
        window = getattr(control, "timestep_range", None)
        if window is None or window[1] <= sigma <= window[0]:
            return True
        control = getattr(control, "previous_controlnet", None)
    return False


class PromisedControl(Mapping):
    """The residuals for one call of the UNet, asked for at most once. Whoever reads it like the host's dict asks."""

    def __init__(self, ask, expected: bool, device: torch.device):
        self._ask = ask
        self._answer = None
        self._device = device
        self.expected = expected  # whether there will be any
        self.span = None  # of the ControlNet, once it was asked

    def residuals(self) -> dict | None:
        """Runs the ControlNet."""
        if self.span is None:
            started = time_stamp(self._device)
            self._answer = self._ask()
            self.span = Span(started, time_stamp(self._device))
        return self._answer

    def __getitem__(self, name):
        return (self.residuals() or {})[name]

    def __iter__(self):
        return iter(self.residuals() or {})

    def __len__(self):
        return len(self.residuals() or {})


class ControlStandIn:
    """Takes the place of a cond's control for one evaluation. Everything but `get_control` is the control's own."""

    def __init__(self, control, sigma: float):
        self._control = control
        self._sigma = sigma

    def __getattr__(self, name):
        return getattr(self._control, name)

    def get_control(self, x_noisy, t, *args, **kwargs):
        ask = partial(self._control.get_control, x_noisy, t, *args, **kwargs)
        return PromisedControl(ask, _acts_at(self._control, self._sigma), x_noisy.device)


def residuals_of(control) -> dict | None:
    """What the UNet is to add, whether it was promised or given."""
    return control.residuals() if isinstance(control, PromisedControl) else control


def span_of(control) -> Span | None:
    """What a promised control took; None where it was not asked."""
    return control.span if isinstance(control, PromisedControl) else None


def with_stand_ins(conds: list, sigma: float) -> list:
    """`conds` of a CALC_COND_BATCH at `sigma`, the host's own left as they are. Conds that share a control go on
    sharing one, or the host would no longer run them in one batch."""
    stand_ins = {}

    def replaced(cond: dict) -> dict:
        control = cond.get("control")
        if control is None:
            return cond
        return {**cond, "control": stand_ins.setdefault(id(control), ControlStandIn(control, sigma))}

    return [None if group is None else [replaced(cond) for cond in group] for group in conds]


def _cut(tensor, rows: int, chunks: int) -> list:
    """`tensor` of a batch of `rows`, cut into its chunks, as views. ControlNets may give one row for all."""
    if tensor is None:
        return [None] * chunks
    return list(tensor.expand(rows, *tensor.shape[1:]).chunk(chunks))


def _shape(kept: dict) -> list:
    """Which places of which lists hold residuals."""
    return [[tensor is not None for tensor in kept[name]] for name in _LISTS]


class ControlKeeper:
    """The residuals of a run, by key of the cond chunk, and what was done with them in each evaluation."""

    def __init__(self):
        self._kept = {}
        self.actions = []  # by evaluation: c asked, i kept ones stood in, - not needed or no control
        self.stood_in = 0
        self.skipped = 0  # calls that did not ask, those among them
        self.spans = []  # of each call that asked
        self.peak_bytes = 0

    @property
    def calls(self) -> int:
        return self.skipped + len(self.spans)

    def begin_evaluation(self):
        self.actions.append("-")

    def ask(self, control: PromisedControl) -> dict | None:
        residuals = control.residuals()
        if residuals is not None:
            self.spans.append(control.span)
            self.actions[-1] = "c"
        return residuals

    def skip(self, control: PromisedControl):
        """The UNet needs none: it inherits what they would have gone into."""
        self.skipped += control.expected

    def keep(self, keys: list[str], residuals: dict | None, rows: int):
        """Keeps the residuals of a batch of `rows` for the chunks `keys`."""
        for key in keys:
            self._kept[key] = {}
        for name in _LISTS:
            cut = [_cut(tensor, rows, len(keys)) for tensor in (residuals or {}).get(name) or ()]
            for chunk, key in enumerate(keys):
                self._kept[key][name] = [chunks[chunk] for chunks in cut]
        # Chunks are views, so each batch is in memory once.
        memory = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
                  for kept in self._kept.values() for tensors in kept.values() for tensor in tensors
                  if tensor is not None}
        self.peak_bytes = max(self.peak_bytes, sum(memory.values()))

    def kept(self, keys: list[str]) -> dict | None:
        """The residuals kept for these chunks, as of one batch; None where some chunk lacks them."""
        chunks = [self._kept.get(key) for key in keys]
        if not all(chunks) or any(_shape(chunk) != _shape(chunks[0]) for chunk in chunks):
            return None
        joined = {}
        for name in _LISTS:
            places = zip(*(kept[name] for kept in chunks), strict=True)
            joined[name] = [None if place[0] is None else torch.cat(place) for place in places]
        if any(joined.values()):
            self.skipped += 1
            self.stood_in += 1
            self.actions[-1] = "i"
        return joined

    def clear(self):
        self._kept.clear()
