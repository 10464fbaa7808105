"""What the benchmark `quality` compares: the pack's settings, each with the reason why it is tried, and its peers'."""

from collections.abc import Callable
from dataclasses import dataclass, field

from support.peer_rules import deepcache_centre, deepcache_full_steps

OURS = "ours"


@dataclass(frozen=True)
class Setting:
    """One point of one method. `inputs` are those of ASDMFeatureInheritance or the method's own constants; a value that
    depends on the number of steps is a function of it."""

    method: str
    label: str
    inputs: dict = field(hash=False)
    reason: str = ""

    def inputs_for(self, steps: int) -> dict:
        return {name: value(steps) if isinstance(value, Callable) else value for name, value in self.inputs.items()}


def _ours(label: str, reason: str, **inputs) -> Setting:
    return Setting(OURS, label, inputs, reason)


def _cut(site: str, interval: int, reason: str) -> Setting:
    return _ours(f"{site} uniform {interval} hold", reason, sites=site, interval=interval)


def _guarded_forecast(site: str, interval: int, last_full: int, reason: str) -> Setting:
    """`last_full` as of 20 steps."""
    return _ours(f"{site} uniform {interval} taylor1 last {last_full}", reason, sites=site, interval=interval,
                 value="taylor1", last_full=_of_20(last_full))


def _of_20(count: int) -> Callable:
    """`count` evaluations of 20, in proportion for runs of another length."""
    return lambda steps: max(1, round(count * steps / 20))


def _deepening(split: float, full: int, last_full: int, reason: str) -> Setting:
    """The shallowest cut up to `split` of the run and a deeper one behind it; `full` and `last_full` as of 20 steps."""
    return _ours(f"out.10 then out.8 at {split:g}, {full} full, last {last_full}", reason, mode="segment",
                 sites=f"0-{split}: out.10; {split}-1: out.8", full_evaluations=_of_20(full),
                 last_full=_of_20(last_full))


def _listed(full: tuple[int, ...], reason: str) -> Setting:
    """The shallowest cut, full at `full` of 20 steps."""
    return _ours(f"out.10 full at {' '.join(map(str, full))} of 20", reason, sites="out.10", mode="explicit",
                 full_at=lambda steps: ",".join(str(round(index * steps / 20)) for index in full))


# With one evaluation inherited alone, the last ones of 20 cost far more than the first: 40 dB at the last but one,
# 70 dB anywhere in the first half (euler, out.10 held). So the last are full, and what is inherited late lies deep.
OUR_SETTINGS = (
    _cut("out.6", 2, "deep cut: half of an inherited evaluation stays live, so little is lost"),
    _cut("out.8", 3, "the pack's default"),
    _guarded_forecast("out.8", 4, 3, "a forecast and full last evaluations, near 1.5x"),
    _guarded_forecast("out.10", 3, 4, "the shallowest cut with full last evaluations, near 2x"),
    _deepening(0.6, 8, 3, "near 1.9x"),
    _deepening(0.6, 7, 2, "near 2x"),
    _deepening(0.6, 6, 2, "near 2.3x"),
    _deepening(0.8, 5, 2, "near 2.8x"),
    _deepening(0.8, 4, 1, "near 3x"),
    _listed((0, 7, 13, 17, 18), "ever closer and full where it matters most, near 3x"),
    _listed((0, 10, 17, 18), "the same further out"),
)


def _deepcache(branch: int, interval: int) -> Setting:
    return Setting("DeepCache", f"branch {branch} uniform {interval}",
                   {"sites": deepcache_site(branch), "mode": "uniform", "interval": interval, "value": "hold"})


def deepcache_site(branch: int) -> str:
    """The address of DeepCache's `cache_branch_id` in an SD1.x UNet: branch 0 keeps in.0 and out.11 alive alone, and
    each further branch one more block on either side."""
    return f"out.{10 - branch}"


def _deepcache_non_uniform(branch: int, interval: int) -> Setting:
    def full(steps: int) -> str:
        count = -(-steps // interval)
        return ",".join(map(str, deepcache_full_steps(steps, count, deepcache_centre(steps))))
    return Setting("DeepCache", f"branch {branch} non-uniform {interval}",
                   {"sites": deepcache_site(branch), "mode": "explicit", "full_at": full, "value": "hold"})


def _faster_diffusion(label: str, **mode) -> Setting:
    encoder = ",".join(f"in.{number}" for number in range(12)) + ",mid"
    return Setting("Faster Diffusion", f"encoder {label}", {"sites": encoder, "value": "hold", **mode})


def _thresholds(method: str, *thresholds: float) -> tuple[Setting, ...]:
    return tuple(Setting(method, f"threshold {threshold:g}", {"threshold": threshold}) for threshold in thresholds)


def _spectrum(label: str, **constants) -> Setting:
    return Setting("spectrum", label, constants)


# Constants that a source leaves to its user are swept, of which those stay that stood on their own method's frontier in
# the quick part; all others are the source's defaults.
PEER_SETTINGS = (
    *(_deepcache(branch, interval) for branch, interval in ((2, 2), (2, 3), (0, 2), (1, 3), (0, 3), (1, 5), (0, 5))),
    *(_deepcache_non_uniform(2, interval) for interval in (3, 5)),
    *_thresholds("EasyCache", 0.05, 0.1, 0.2, 0.4, 0.8),
    *_thresholds("LazyCache", 0.05, 0.1, 0.2, 0.4),
    *_thresholds("first-block cache", 0.1, 0.15, 0.2, 0.3, 0.4),
    _spectrum("window 2 growth 0", growth=0.0),
    _spectrum("window 2 growth 0.25", growth=0.25),
    _spectrum("window 2 growth 0.5", growth=0.5),
    _spectrum("window 3 growth 0.5", window=3.0, growth=0.5),
    _faster_diffusion("key steps", mode="front"),
    _faster_diffusion("uniform 2", mode="uniform", interval=2),
)
SETTINGS = OUR_SETTINGS + PEER_SETTINGS
