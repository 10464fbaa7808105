"""What becomes of a combination: the host alone, with the native engine, and with inheritance, as a row of figures."""

import gc
import json
import math
import re
import traceback

import torch
from support import measure

from . import attention, calls, conditioning, control, guidance, samplers, structures, weights
from .memory import BY_FLAGS
from .sampling import Combination, Sampling, sd15

INHERITANCE = {"level": "block", "sites": "auto", "mode": "uniform", "interval": 2}
BOUND = 1e-3  # relative L2 of latents to the host's own, as benchmark parity has it
PLAIN_FLAGS = ("--use-pytorch-cross-attention",)
COUNTS = ("evaluations", "full", "inherited", "idle", "native_calls", "calls_with_hooks", "fallback_calls",
          "native_share", "mac_share")
WORDS = ("fallback_reasons", "host_walks", "forced_refreshes")


def groups() -> dict[str, list[Combination]]:
    """By heading. Needs the host."""
    return {"Weights": weights.COMBINATIONS, "Control": control.COMBINATIONS, "Attention": attention.COMBINATIONS,
            "Guidance": guidance.COMBINATIONS, "Prompts, masks and what sampling starts from":
            conditioning.COMBINATIONS, "Checkpoints and their sampling": structures.COMBINATIONS,
            "Around the calls": calls.COMBINATIONS, "Samplers and schedulers": samplers.combinations(),
            "Flags of the host": [one for of_flag in BY_FLAGS.values() for one in of_flag]}


def processes(pattern: str = "") -> list[tuple[str, ...]]:
    """The flags of each process that rows need whose name has `pattern`."""
    return [PLAIN_FLAGS, *(flags for flags, found in BY_FLAGS.items()
                           if any(re.search(pattern, one.name) for one in found))]


def combinations_of(flags: tuple[str, ...], pattern: str = "") -> list[tuple[str, Combination]]:
    """(heading, combination) of those that run in a process with these flags. Needs the host."""
    here = {one.name for one in BY_FLAGS.get(flags, ())}
    elsewhere = {one.name for found in BY_FLAGS.values() for one in found} - here
    return [(heading, one) for heading, found in groups().items() for one in found
            if (one.name in here or flags not in BY_FLAGS) and one.name not in elsewhere
            and re.search(pattern, one.name)]


class Rows:
    """`pack`: of support.hosted, in a process that runs the host."""

    def __init__(self, pack):
        self._pack = pack
        self._host = pack.host.comfy_host()
        self._plain = {}  # what the host gives without anything, by the base of combinations

    def row(self, heading: str, one: Combination) -> dict:
        import comfy.model_management
        about = {"group": heading, "name": one.name, "by": one.by}
        try:
            with torch.inference_mode():  # as the host runs its nodes
                expected, shown = self._stock(one)
                return {**about, **shown, "bound": self._bound(one, shown),
                        "exact": self._measured(one, "before", expected, self._host.with_native_engine),
                        "inheriting": self._measured(one, one.second_order, expected, self._inheriting)}
        except Exception:
            return {**about, "error": traceback.format_exc()}
        finally:
            comfy.model_management.unload_all_models()
            gc.collect()  # MODELs and their patches hold each other

    def _inheriting(self, model):
        return self._host.with_inheritance(model, self._pack.request(INHERITANCE), "ASDMFeatureInheritance")

    @staticmethod
    def _bound(one: Combination, shown: dict) -> float:
        """Where the dtype alone makes the difference, the engine's rounding and the host's are of one size and not the
        same."""
        return 2.0 * shown["effect"] if one.rounds else BOUND

    def _base(self, one: Combination) -> Sampling:
        return (one.base or sd15)(self._pack)

    def _stock(self, one: Combination) -> tuple[torch.Tensor, dict]:
        """What the host gives, and by what it shows that the combination was there."""
        made = self._base(one)
        one.change(made)
        if one.shown_by:
            words, counted = one.shown_by
            latent, number = counted(made, made.run)
            return latent, {"effect": None, "shown_by": words, "shown": number}
        latent = made.run()
        if one.base not in self._plain:
            self._plain[one.base] = self._base(one).run()
        plain = self._plain[one.base]
        effect = measure.relative_l2(latent, plain) if plain.shape == latent.shape else math.inf
        return latent, {"effect": effect if math.isfinite(effect) else "another size"}

    def _measured(self, one: Combination, order: str, expected: torch.Tensor, ours) -> dict:
        made = self._base(one)
        try:
            if order == "behind":
                made.model = ours(made.model)
            one.change(made)
            if order == "before":
                made.model = ours(made.model)
            latent = made.run()
        except Exception as fault:
            return {"order": order, "refused": f"{type(fault).__name__}: {fault}"}
        report = json.loads(self._host.run_report(made.model, {"samples": latent}))
        if not report["found"]:
            return {"order": order, "refused": f"no report: {report['reason']}"}
        return {"order": order, "relative_l2": measure.relative_l2(latent, expected),
                "finite": bool(latent.isfinite().all()), **{name: report[name] for name in COUNTS},
                **{name: report[name] for name in WORDS}, "host_walk_calls": sum(report["host_walks"].values()),
                "places": _reasons(report["places"]), "notes": report["notes"], "other_caches": report["other_caches"]}


def _reasons(places: list[dict]) -> dict[str, int]:
    """How many parts of the UNet the host ran, by the reason."""
    found = {}
    for place in places:
        found[place["reason"]] = found.get(place["reason"], 0) + 1
    return found
