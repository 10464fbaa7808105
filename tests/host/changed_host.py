"""The real host in this process, with one of the packs of hosts_to_come/ in it, and what the engine makes of that.

    changed_host.py CHANGE...     one JSON object a line for each change and order of the nodes
"""

import ast
import asyncio
import json
import multiprocessing
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from support import hosted, measure, models  # noqa: E402

CHANGES = Path(__file__).with_name("hosts_to_come")
STEPS = 5
SIZE = 16  # of the latent
WIDTH = 32
INHERITANCE = {"level": "block", "sites": "auto", "mode": "uniform", "interval": 2}
# What the host gives without a change, by what is sampled: a change that is not alone leaves it as it is.
PLAIN = {}


def all_changes() -> list[str]:
    return sorted(path.stem for path in CHANGES.glob("*.py"))


def is_alone(name: str) -> bool:
    """Whether a change is one for all models of the process, so that no other can be tried beside it."""
    tree = ast.parse((CHANGES / f"{name}.py").read_text(encoding="utf-8"))
    return any(ast.unparse(line.targets[0]) == "ALONE" for line in tree.body if isinstance(line, ast.Assign))


class ChangedHost:
    """One change, as the host loads a custom node: its node class, and what its module says of itself."""

    def __init__(self, pack, name: str):
        import nodes
        self._pack = pack
        self.name = name
        before = set(nodes.NODE_CLASS_MAPPINGS)
        loaded = asyncio.run(nodes.load_custom_node(str(CHANGES / f"{name}.py"), module_parent="custom_nodes"))
        if not loaded:
            raise RuntimeError(f"the host did not load {name}")
        (added,) = set(nodes.NODE_CLASS_MAPPINGS) - before
        self._node = nodes.NODE_CLASS_MAPPINGS[added]
        self._module = sys.modules[self._node.__module__]

    def _said(self, name: str, default):
        return getattr(self._module, name, default)

    def rows(self) -> list[dict]:
        plain = self._plain_latent()  # before anything is changed: a change may be made once and for all
        expected = self.sample(self._changed(self._model()))[0]
        effect = measure.relative_l2(expected, plain)
        return [{"change": self.name, "order": order, "effect": effect, "acts": self._said("ACTS", True),
                 **self._row(order, expected)} for order in self._said("ORDERS", ("before", "behind"))]

    def _plain_latent(self):
        """What the host gives without the change."""
        asked = tuple(self._said(name, None) for name in ("model", "guider", "FRAMES", "TOKENS"))
        if asked not in PLAIN:
            PLAIN[asked] = self.sample(self._model())[0]
        return PLAIN[asked]

    def _model(self):
        make = self._said("model", None)
        return models.make_patcher(self._pack, "sd15", WIDTH) if make is None else make(models.random_unet_)

    def _changed(self, model):
        return getattr(self._node(), self._node.FUNCTION)(model)[0]

    def _built(self, order: str, ours):
        """The MODEL of a graph with the change `order` ("before", "behind") the node `ours`."""
        model = self._model()
        return ours(self._changed(model)) if order == "before" else self._changed(ours(model))

    def _row(self, order: str, expected) -> dict:
        host, asked = self._pack.host.comfy_host(), self._pack.request(INHERITANCE)
        native, exact = self.sample(self._built(
            order, lambda model: host.with_native_engine(model)))
        inherited, report = self.sample(self._built(
            order, lambda model: host.with_inheritance(model, asked, "ASDMFeatureInheritance")))
        return {"relative_l2": measure.relative_l2(native, expected),
                "inherited": report["inherited"], "mac_share": report["mac_share"],
                "distance_of_inherited": measure.relative_l2(inherited, expected),
                "must_inherit": self._said("INHERITS", True), "native_share": exact["native_share"],
                "native_calls": exact["native_calls"], "fallback_reasons": exact["fallback_reasons"],
                "host_walks": report["host_walks"], "places": len(exact["places"]), "notes": report["notes"]}

    def sample(self, model) -> tuple:
        """(latent, report) of a run of the host's sampler; the report is empty for a MODEL without the pack."""
        import comfy.sample
        import comfy.samplers
        import torch
        guider = self._said("guider", comfy.samplers.CFGGuider)(model)
        tokens = self._said("TOKENS", 77)
        guider.set_conds(_cond(model, 1, tokens), _cond(model, 2, tokens))
        guider.set_cfg(5.0)
        latent = torch.zeros(self._said("FRAMES", 1), 4, SIZE, SIZE)
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", STEPS)
        with torch.inference_mode():
            noise = comfy.sample.prepare_noise(latent, 3)
            samples = guider.sample(noise, latent, comfy.samplers.sampler_object("euler"), sigmas, disable_pbar=True,
                                    callback=lambda *_: None, seed=3)
        return samples, json.loads(self._pack.host.comfy_host().run_report(model, {"samples": samples}))


def _cond(model, seed: int, tokens: int) -> list:
    import torch
    config = model.model.model_config.unet_config
    generator = torch.Generator().manual_seed(seed)
    extra = {"pooled_output": torch.randn(1, 1280, generator=generator)} if config.get("adm_in_channels") else {}
    return [[torch.randn(1, tokens, config["context_dim"], generator=generator), extra]]


def print_rows(pack, name: str):
    """The rows of one change, or one that says how it failed, so that those of others come all the same."""
    try:
        rows = ChangedHost(pack, name).rows()
    except Exception:
        rows = [{"change": name, "error": traceback.format_exc()}]
    for row in rows:
        sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def in_a_fork(work, *arguments):
    """`work` in a process of its own that finds the host imported and unchanged, and leaves it so here."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit(f"{work.__name__} failed on {arguments[-1]}")


def main():
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    import nodes  # noqa: F401  the whole host, once
    # Before anything is computed, as the threads of a computation do not live on in a fork.
    for name in filter(is_alone, sys.argv[1:]):
        in_a_fork(print_rows, pack, name)
    for name in sys.argv[1:]:
        if not is_alone(name):
            print_rows(pack, name)


if __name__ == "__main__":
    main()
