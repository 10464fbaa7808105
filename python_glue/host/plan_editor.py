"""What the plan editor of the front end asks of the server: plans as grids, and changes of them (docs/plan.md). The
core reads, counts and writes; the front end draws."""

from collections import OrderedDict

from .. import native
from .hosted_unet import PROMPT_TOKENS

# What plans are counted on where no run told of another: the full UNet of the family at the size that it was made for.
_PRESETS = {"sd1": ("sd15", 64), "sd2": ("sd21", 96), "sdxl": ("sdxl", 128), "sdxl_refiner": ("sdxl_refiner", 128)}
_MOST_EVALUATIONS = 1000  # that a grid is drawn of
_PIXELS = 8  # of a picture, along the side of a latent's
_REMEMBERED = 64

_last_runs = OrderedDict()  # node id -> (UNetSpec, (height, width, tokens)) of the last run with its settings


def remember_run(run):
    """`run`, which has ended, tells what plans on the nodes of its settings are for."""
    if run.call_size is None:
        return
    for node_id in run.settings.node_ids:
        name = _node_name(node_id)
        _last_runs[name] = (run.hosted.spec, run.call_size)
        _last_runs.move_to_end(name)
    while len(_last_runs) > _REMEMBERED:
        _last_runs.popitem(last=False)


def answer(asked: dict) -> dict:
    """What `asked` of a plan comes to: {"plan": its text, "grid": see the native plan_grid(), "counted_on": of which
    model and size}, or {"error": a sentence}. `asked` has the `plan` as text, or of one to `begin` the {"family",
    "steps"}; the `node` that it is on; and may have a cell to `paint`: {"evaluation", "site", "inherits"}."""
    try:
        return _answer(asked)
    except (AttributeError, ValueError, TypeError, RuntimeError) as error:  # no plan, no such cell, no module
        return {"error": str(error)}


def _answer(asked: dict) -> dict:
    module = native.native_module()
    begin, paint = asked.get("begin"), asked.get("paint")
    plan = _begun(begin) if begin else module.Plan.from_json(asked.get("plan", ""))
    if len(plan.sigmas) > _MOST_EVALUATIONS:
        raise ValueError(f"plan.evaluations: expected at most {_MOST_EVALUATIONS} to draw, got {len(plan.sigmas)}")
    spec, size, is_of_run = _model_for(plan.family, asked.get("node"))
    if paint:
        plan = module.painted_plan(plan, spec, **paint)
    height, width, tokens = size
    grid = module.plan_grid(plan, spec, height, width, tokens)
    return {"plan": plan.json(), "grid": grid, "counted_on": {
        "family": plan.family, "width": width * _PIXELS, "height": height * _PIXELS, "is_last_run": is_of_run}}


def _begun(begin: dict):
    family, steps = begin.get("family"), begin.get("steps")
    if family not in _PRESETS:
        raise ValueError(f"family: expected one of: {', '.join(_PRESETS)}, got '{family}'")
    if not isinstance(steps, int) or not 1 <= steps <= _MOST_EVALUATIONS:
        raise ValueError(f"steps: expected an integer from 1 to {_MOST_EVALUATIONS}, got {steps}")
    return native.native_module().begun_plan(_model_for(family, None)[0], steps)


def _model_for(family: str, node_id) -> tuple:
    """(UNetSpec, (height, width, tokens), whether they are those of the last run with the node's plan)."""
    spec, size = _last_runs.get(_node_name(node_id), (None, None))
    if spec is not None and spec.family == family:
        return spec, size, True
    preset, side = _PRESETS[family]
    return native.native_module().preset_spec(preset), (side, side, PROMPT_TOKENS), False


def _node_name(node_id) -> str:
    """The id of a node in its own graph, by which the front end knows it: without the subgraphs that it is in."""
    return str(node_id).rpartition(":")[2]
