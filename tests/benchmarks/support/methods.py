"""Turns a setting of the benchmark `quality` into a MODEL of the host."""

from support import peer_caches
from support.quality_settings import Setting


def run_node(node: str, pack, model, inputs: dict) -> dict:
    """What a node of the pack's gives for `model`: "outputs" and what it shows."""
    return pack.native.native_module().execute(node, pack.host.comfy_host(), {"model": model, **inputs})


def with_method(pack, model, setting: Setting, steps: int):
    """A clone of `model`, which runs in the native engine, that skips as `setting` says in runs of `steps`.

    ValueError or RuntimeError where this build of the pack does not know the setting.
    """
    inputs = setting.inputs_for(steps)
    if setting.method in ("EasyCache", "LazyCache"):
        return peer_caches.with_host_cache(setting.method, model, **inputs)
    if setting.method == "first-block cache":
        return peer_caches.with_first_block_cache(pack, model, **inputs)
    if setting.method == "SADA":
        return peer_caches.with_sada(model, **inputs)
    if setting.method == "spectrum":
        return peer_caches.with_spectrum(model, **inputs)
    return run_node("ASDMFeatureInheritance", pack, model, inputs)["outputs"][0]
