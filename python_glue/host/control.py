"""ControlNets of a run that inherits: a ControlNet is asked for its residuals only where the UNet needs fresh ones.

The host runs ControlNets before it calls the UNet, and so before anybody knows what the UNet will inherit. So its
conds get a stand-in for their control, which promises the residuals; the seam then asks for them, takes those that it
kept, or leaves the ControlNet alone.
"""

from collections.abc import Mapping
from functools import partial

import torch

from .span import Span, time_stamp


def acting_controls(control, sigma: float) -> tuple[int, ...]:
    """Which of `control` (0) and those that it follows (1, ...) are in their range; outside of it the host's
    ControlNets give nothing."""
    acting, place = [], 0
    while control is not None:
        window = getattr(control, "timestep_range", None)
        if window is None or window[1] <= sigma <= window[0]:
            acting.append(place)
        control, place = getattr(control, "previous_controlnet", None), place + 1
    return tuple(acting)


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
    """Takes the place of a cond's control. All but `get_control` is the control's own, and what is written is written
    there. Packs that tile replace `get_control` and set the hint of each tile; what they replaced it with is theirs."""

    def __init__(self, control, run):
        """`run`: whose `sigma` is that of the evaluation."""
        self.__dict__.update(_control=control, _run=run)

    def __getattr__(self, name):
        return getattr(self.__dict__["_control"], name)

    def __setattr__(self, name, value):
        setattr(self._control, name, value)

    def __delattr__(self, name):
        delattr(self._control, name)

    @property
    def get_control(self):
        own = self._control.get_control
        return own if "get_control" in vars(self._control) else partial(self._promised, own)

    def _promised(self, get_control, x_noisy, t, *args, **kwargs):
        ask = partial(get_control, x_noisy, t, *args, **kwargs)
        return PromisedControl(ask, bool(acting_controls(self._control, self._run.sigma)), x_noisy.device)


def residuals_of(control) -> dict | None:
    """What the UNet is to add, whether it was promised or given."""
    return control.residuals() if isinstance(control, PromisedControl) else control


def control_lists(residuals: dict | None) -> dict[str, list]:
    """Copies: the host's forward empties its lists while it runs, the engine leaves them as they are."""
    return {name: list((residuals or {}).get(name) or ()) for name in ("input", "middle", "output")}


def span_of(control) -> Span | None:
    """What a promised control took; None where it was not asked."""
    return control.span if isinstance(control, PromisedControl) else None


def with_stand_ins(conds: list, run) -> list:
    """`conds` of a CALC_COND_BATCH in `run`, the host's own left as they are. Conds that share a control go on
    sharing one, or the host would no longer run them in one batch."""
    stand_ins = {}

    def replaced(cond: dict) -> dict:
        control = cond.get("control")
        if control is None:
            return cond
        return {**cond, "control": stand_ins.setdefault(id(control), ControlStandIn(control, run))}

    return [None if group is None else [replaced(cond) for cond in group] for group in conds]


class ControlLedger:
    """What was done with the ControlNets of a run in each evaluation, and what they took."""

    def __init__(self):
        self.actions = []  # by evaluation: c asked, i kept ones stood in, - not needed or no control
        self.stood_in = 0
        self.skipped = 0  # calls that did not ask, those among them
        self.spans = []  # of each call that asked

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

    def stand_in(self, residuals: dict) -> dict:
        """`residuals` of an evaluation before are taken once more."""
        if residuals:
            self.skipped += 1
            self.stood_in += 1
            self.actions[-1] = "i"
        return residuals
