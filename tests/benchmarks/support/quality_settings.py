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


def our_setting(label: str, reason: str, **inputs) -> Setting:
    return Setting(OURS, label, inputs, reason)


def of_20(count: int) -> Callable:
    """`count` evaluations of 20, in proportion for runs of another length."""
    return lambda steps: max(1, round(count * steps / 20))


def phases_of(sites: str, until: tuple[float, ...]) -> str:
    """`sites` such as "out.8 out.6", each up to its share of the run in `until`."""
    parts, starts = sites.split(), (0, *until[:-1])
    return "; ".join(f"{start:g}-{end:g}: {site}" for start, end, site in zip(starts, until, parts, strict=True))


def deepening(sites: str, until: tuple[float, ...], full: int, reason: str) -> Setting:
    """Cuts that lie deeper from phase to phase; `full` as of 20 steps."""
    phases = phases_of(sites, until)
    return our_setting(f"{phases}, {full} full of 20", reason, mode="segment", sites=phases,
                       full_evaluations=of_20(full))


# What is inherited late shows in the picture, what is inherited early is mended by the evaluations behind it: of 20,
# one inherited alone costs 40 dB at the last but one and 70 dB anywhere in the first half (euler, out.10 held). So cuts
# lie deeper from phase to phase, which keeps more alive where it shows. Full evaluations near the end do the same for
# euler, but not for multistep samplers: dpmpp_2m extrapolates each step from what was held to what is fresh, and a full
# one among the last, where this weighs most, costs it 4 to 10 dB. A forecast costs it up to 4.
OUR_SETTINGS = (
    our_setting("out.8 uniform 3 hold", "one cut for the whole run", sites="out.8", interval=3),
    deepening("out.8 out.6 out.4", (0.6, 0.8, 1), 7, "near 1.5x"),
    deepening("out.8 out.6 out.4", (0.4, 0.7, 1), 4, "near 1.6x, for dpmpp_2m"),
    deepening("out.8 out.8 out.6", (0.4, 0.7, 1), 4, "near 1.9x, for dpmpp_2m"),
    deepening("out.10 out.8 out.6", (0.5, 0.8, 1), 7, "the pack's default, near 1.9x"),
    deepening("out.10 out.9 out.6", (0.5, 0.8, 1), 7, "near 2x, for euler"),
    deepening("out.10 out.8 out.6", (0.6, 0.8, 1), 6, "near 2.1x"),
    deepening("out.10 out.8 out.6", (0.5, 0.8, 1), 5, "sites auto, near 2.2x"),
    deepening("out.10 out.8 out.6", (0.6, 0.8, 1), 4, "near 2.4x"),
    deepening("out.10 out.8 out.6", (0.5, 0.8, 1), 3, "sites auto, near 2.5x"),
    deepening("out.10 out.8 out.7", (0.6, 0.9, 1), 3, "near 3x, for euler"),
    deepening("out.10 out.10 out.8", (0.3, 0.6, 1), 3, "near 3x, for dpmpp_2m"),
    deepening("out.10 out.10 out.8", (0.4, 0.7, 1), 3, "beyond 3x"),
    deepening("out.10 out.9 out.6", (0.7, 0.9, 1), 3, "beyond 3x, for euler"),
    deepening("out.10 out.10 out.8", (0.5, 0.8, 1), 3, "near 3.5x"),
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
# Skips by evaluations, of which the benchmark `quality` has other peers with as little to set.
SADA_SETTINGS = (Setting("SADA", "polynomial from 24 of 50 steps", {"lagrange": True}),
                 Setting("SADA", "without the polynomial", {"lagrange": False}))
