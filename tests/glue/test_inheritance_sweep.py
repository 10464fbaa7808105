"""A hundred random settings of ASDMFeatureInheritance in random graphs: every run ends, and its report adds up."""

import itertools
import json
import random
from collections import Counter

import pytest
import torch
from counted_control import CountedControl
from hosted_model import split_batches
from test_inheritance_under_samplers import SAMPLERS

SEEDS = 96
PER_TEST = 12  # few enough to find a seed again, many enough to load the host once
STEPS = 8
PRESETS = ["auto", "auto", "auto", "encoder", "deepcache", "attn1", "attn2", "ff", "transformers", "second_layers",
           "out", "guidance", "control", "in.*.attn", "out.*.res", "*.*.attn.*.ff"]
# As many evaluations as the sampler likes: a run of its own in the tests of samplers.
SWEPT = sorted(SAMPLERS.keys() - {"dpm_adaptive"})


class Draw(random.Random):
    """Random settings and graphs, the same for a seed."""

    def sites(self, addresses):
        if self.random() < 0.4:
            return self.choice(PRESETS)
        return ", ".join(self.choice(addresses) for _ in range(self.randint(1, 4)))

    def settings(self, choices, addresses):
        """By the names of the node's inputs. `choices`: input -> names that the node offers."""
        mode = self.choice(choices["mode"])
        sites = self.sites(addresses)
        full_evaluations = self.choice([0, 0, self.randint(1, 9)])
        searches_depth = mode == "adaptive" and full_evaluations == 0
        if not searches_depth and self.random() < 0.3:
            sites = f"0-0.4: {sites}; 0.5-1: {self.sites(addresses)}"
        start = self.choice([0.0, 0.0, 0.1, 0.3])
        return {
            "level": self.choice(choices["level"]), "sites": sites, "mode": mode,
            "interval": self.randint(1, 5), "full_evaluations": full_evaluations,
            "start_percent": start, "end_percent": self.choice([1.0, 1.0, start + 0.3]),
            "value": self.choice(choices["value"]), "max_age": self.choice([0, 0, self.randint(1, 4)]),
            "threshold": self.choice([0.02, 0.1, 0.4]), "full_at": self.choice(["0, 2, 3", "1001011", "4"]),
            "storage": self.choice(choices["storage"]), "first_full": self.choice([0, 0, 2]),
            "last_full": self.choice([0, 0, 2]),
        }

    def graph(self):
        """What is about the model, as data."""
        return {
            "sampler": self.choice(SWEPT), "scheduler": self.choice(["normal", "karras", "simple"]),
            "tokens": self.choice([77, 77, 154, 7]), "cfg": self.choice([5.0, 5.0, 1.0]),
            "rows": self.choice([1, 1, 2]), "size": self.choice([(8, 8), (8, 8), (10, 6)]),
            "begins": self.choice([0, 0, 3]), "split": self.choice(["never", "never", "always", "flips"]),
            "control": self.random() < 0.25, "area": self.random() < 0.15,
        }


class Sweep:
    """The model that all settings meet."""

    def __init__(self, hosted, native):
        self._hosted = hosted
        self._native = native
        self._control = CountedControl(hosted)
        (schema,) = [node for node in json.loads(native.schemas_json())["nodes"]
                     if node["id"] == "ASDMFeatureInheritance"]
        self.choices = {given["name"]: given["choices"] for given in schema["inputs"] if "choices" in given}
        addresses = native.UNet(native.preset_spec("sd15", 32)).node_addresses()
        self.addresses = [address for address in addresses if address != "out.11"]  # the last block is no site

    def inheriting(self, settings):
        node = {"model": self._hosted.patcher, **settings}
        return self._native.execute("ASDMFeatureInheritance", self._hosted.host, node)["outputs"][0]

    def run(self, model, graph, monkeypatch):
        """(latent, report)."""
        extra = {"control": self._control.control} if graph["control"] else {}
        positive = self._hosted.cond(1, **extra)
        if graph["area"]:
            positive = positive + self._hosted.cond(4, area=(4, 6, 2, 0), strength=0.8)
        negative = self._hosted.cond(2, tokens=graph["tokens"], **extra)
        sigmas = self._hosted.sigmas(STEPS + graph["begins"], graph["scheduler"])[graph["begins"]:]
        latent = torch.zeros(graph["rows"], 4, *graph["size"])
        asked = itertools.count()
        is_short = {"never": lambda: False, "always": lambda: True, "flips": lambda: next(asked) % 3 == 1}
        with monkeypatch.context() as patched:
            split_batches(patched, is_short[graph["split"]])
            return self._hosted.sampled(model, self._hosted.sampler(graph["sampler"]), positive, negative,
                                        latent=latent, sigmas=sigmas, cfg=graph["cfg"])


@pytest.fixture(scope="module")
def sweep(hosted, native):
    return Sweep(hosted, native)


def check_report(report):
    """Counts that must agree, whatever was inherited."""
    evaluations = report["evaluations"]
    assert evaluations == report["full"] + report["inherited"] == len(report["sigmas"])
    assert evaluations >= STEPS
    assert report["native_calls"] >= evaluations
    assert (report["fallback_calls"], report["fallback_reasons"]) == (0, {})
    for row in report["addresses"]:
        met = row["computed"] + row["inherited"] + row["forecast"] + row["not_run"]
        of_control_nets = row["address"] == "control" and report["control_calls"]
        assert met == (report["control_calls"] if of_control_nets else report["native_calls"]), row
        assert len(row["actions"]) == evaluations, row
    plan = json.loads(report["plan"])["evaluations"]
    planned = sum(bool(entry["sites"]) for entry in plan)
    assert [entry["sigma"] for entry in plan] == pytest.approx(report["sigmas"], rel=1e-4)
    assert planned <= report["inherited"]
    if not report["forced_refreshes"]:
        assert planned == report["inherited"]
    assert 0 < report["mac_share"] <= 1.0
    if not report["inherited"]:
        assert report["mac_share"] == 1.0


@pytest.mark.parametrize("part", range(SEEDS // PER_TEST))
def test_random_settings_finish_and_add_up(sweep, hosted, monkeypatch, part):
    counts = Counter()
    for seed in range(part * PER_TEST, (part + 1) * PER_TEST):
        draw = Draw(seed)
        settings, graph = draw.settings(sweep.choices, sweep.addresses), draw.graph()
        try:
            latent, report = sweep.run(sweep.inheriting(settings), graph, monkeypatch)
            assert latent.isfinite().all()
            check_report(report)
        except BaseException as fault:
            fault.add_note(f"seed {seed}: {settings} in {graph}")
            raise
        counts["inheriting"] += report["inherited"] > 0
    # Drawn settings may leave nothing to inherit; were there no more than these, the sweep would test nothing.
    assert counts["inheriting"] > PER_TEST // 4


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_interval_1_changes_no_bit_whatever_else_is_set(sweep, hosted, monkeypatch, seed):
    draw = Draw(seed)
    graph = draw.graph()
    settings = draw.settings(sweep.choices, sweep.addresses) | {"mode": "uniform", "interval": 1, "full_evaluations": 0}
    settings["sites"] = draw.sites(sweep.addresses)
    latent, report = sweep.run(sweep.inheriting(settings), graph, monkeypatch)
    exact, _ = sweep.run(hosted.exact(), graph, monkeypatch)
    assert torch.equal(latent, exact)
    assert (report["inherited"], report["mac_share"]) == (0, 1.0)
