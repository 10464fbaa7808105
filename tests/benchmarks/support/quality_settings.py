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


def _cut(site: str, interval: int, reason: str, **inputs) -> Setting:
    words = " ".join([inputs.get("mode", "uniform"), str(interval), inputs.get("value", "hold")])
    return _ours(f"{site} {words}", reason, sites=site, interval=interval, **inputs)


OUR_SETTINGS = (
    _cut("out.6", 2, "deep cut: half of an inherited evaluation stays live, so little is lost"),
    _cut("out.8", 2, "the cut before the last level, where DeepCache's image quality is best for its speed"),
    _cut("out.8", 3, "the pack's default"),
    _cut("out.9", 3, "between the default and the shallowest cut"),
    _cut("out.10", 2, "shallowest cut: a tenth of the UNet stays live; DeepCache's default"),
    _cut("out.10", 3, "the same further out"),
    _cut("out.10", 4, "the same near 3x"),
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


# Constants that a source leaves to its user are swept; all others are the source's defaults.
PEER_SETTINGS = (
    *(_deepcache(branch, interval) for branch in (0, 1, 2) for interval in (2, 3, 5)),
    *(_deepcache_non_uniform(branch, interval) for branch in (0, 2) for interval in (2, 3, 5)),
    *_thresholds("EasyCache", 0.05, 0.1, 0.2, 0.4, 0.8),
    *_thresholds("LazyCache", 0.05, 0.1, 0.2, 0.4, 0.8),
    *_thresholds("first-block cache", 0.07, 0.1, 0.15, 0.2, 0.3, 0.4),
    _spectrum("window 2 growth 0", growth=0.0),
    _spectrum("window 2 growth 0.25", growth=0.25),
    _spectrum("window 2 growth 0.5", growth=0.5),
    _spectrum("window 3 growth 0.5", window=3.0, growth=0.5),
    _spectrum("window 4 growth 1", window=4.0, growth=1.0),
    _faster_diffusion("key steps", mode="front"),
    *(_faster_diffusion(f"uniform {interval}", mode="uniform", interval=interval) for interval in (2, 3, 5)),
)
SETTINGS = OUR_SETTINGS + PEER_SETTINGS
