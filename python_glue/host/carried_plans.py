"""Lets pictures carry the plans of the runs behind them: under `asdm_plans` beside the workflow, {id of the node that
sampled: [plan, ...]}.

The host hands nodes that save pictures one dict of its prompt's metadata, and tells nobody else of it. So the dict is
met when a prompt is queued, and found again by the prompt's id when a run of it ends. A sampler whose result the host
takes from its cache makes no run: what it left the last time it did the same is put in when the prompt is queued, or,
where that run is still to come, when it ends.
"""

import hashlib
import json
import threading
import uuid
import weakref
from collections import OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar

from comfy_execution.utils import get_executing_context

PLANS = "asdm_plans"
# Plans that are remembered for samplers that the host caches. It keeps the results of the last prompt, or of a few.
_REMEMBERED = 256

_prompts = weakref.WeakValueDictionary()  # PictureMetadata by the id of a prompt, for as long as the host has it
_plans = OrderedDict()  # signature of a sampler -> the plans of its last runs
_lock = threading.Lock()  # prompts are queued in one thread and run in another
_makes_pictures = ContextVar("asdm_makes_pictures", default=True)


class PictureMetadata(dict):
    """What pictures of one prompt carry; another dict could not be found without being kept."""

    signatures: dict  # node id -> signature
    ran: set  # ids of the nodes whose plans are of this prompt's own runs


def meet_prompt(queued: dict) -> dict:
    """A handler of the host's for prompts as they are queued. Those of clients that bring no place for metadata, and
    those without a node of this pack, are left as they are."""
    prompt, given = queued.get("prompt"), (queued.get("extra_data") or {}).get("extra_pnginfo")
    if not isinstance(given, dict) or not _has_our_nodes(prompt):
        return queued
    metadata = PictureMetadata(given)
    metadata.signatures, metadata.ran = signatures_of(prompt), set()
    with _lock:
        for node_id, signature in metadata.signatures.items():
            if signature in _plans:
                _plans.move_to_end(signature)
                _put(metadata, node_id, _plans[signature])
        _prompts[queued.setdefault("prompt_id", str(uuid.uuid4()))] = metadata
    queued["extra_data"]["extra_pnginfo"] = metadata
    return queued


def leave_plan(plan: str):
    """Pictures behind the node that runs now carry `plan`, the JSON of one, from here on."""
    context = get_executing_context()
    metadata = None if context is None else _prompts.get(context.prompt_id)
    if metadata is None or not plan or not _makes_pictures.get():
        return
    node_id = context.node_id.partition(".")[0]  # nodes that a node expanded into are its own
    with _lock:
        known = metadata.get(PLANS, {}).get(node_id, []) if node_id in metadata.ran else []
        found = json.loads(plan)
        plans = known if found in known else [*known, found]
        metadata.ran.add(node_id)
        _put(metadata, node_id, plans)
        if node_id in metadata.signatures:
            _remember(metadata.signatures[node_id], plans)


def _remember(signature: str, plans: list):
    """For prompts to come, and for those that wait: they take the node from the host's cache, or run it again."""
    _plans[signature] = plans
    _plans.move_to_end(signature)
    if len(_plans) > _REMEMBERED:
        _plans.popitem(last=False)
    for metadata in list(_prompts.values()):
        for node_id, its in metadata.signatures.items():
            if its == signature and node_id not in metadata.ran:
                _put(metadata, node_id, plans)


def _put(metadata: PictureMetadata, node_id: str, plans: list):
    metadata[PLANS] = {**metadata.get(PLANS, {}), node_id: plans}


@contextmanager
def trials():
    """What runs inside makes no picture."""
    token = _makes_pictures.set(False)
    try:
        yield
    finally:
        _makes_pictures.reset(token)


def _has_our_nodes(prompt) -> bool:
    return isinstance(prompt, dict) and any(
        isinstance(node, dict) and str(node.get("class_type")).startswith("ASDM") for node in prompt.values())


def signatures_of(prompt: dict) -> dict[str, str]:
    """For each node of an API prompt what tells it and all that it depends on from others, whatever their ids: by the
    same the host's cache knows a node again. Empty where a graph is deeper than any is."""
    known = {}

    def signature(node_id: str) -> str:
        if node_id not in known:
            known[node_id] = ""  # of a node that depends on itself
            node = prompt.get(node_id)
            inputs = node.get("inputs") if isinstance(node, dict) else None
            given = {name: [signature(value[0]), value[1]] if _is_link(value) else value
                     for name, value in (inputs.items() if isinstance(inputs, dict) else ())}
            text = json.dumps([node.get("class_type") if isinstance(node, dict) else None, given], sort_keys=True)
            known[node_id] = hashlib.sha256(text.encode()).hexdigest()
        return known[node_id]

    try:
        return {node_id: signature(node_id) for node_id in prompt}
    except RecursionError:
        return {}


def _is_link(value) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)
