"""Says what a run gained: one line in the log, and the same as text on the nodes that asked for it."""

import json
import logging
import sys

from comfy_execution.utils import get_executing_context

from .. import native

_SHOWN = 3  # reasons that a line has room for
log = logging.getLogger("asdm")


def executing_node() -> str | None:
    """The id, in the graph, of the node that runs now; None outside of one."""
    context = get_executing_context()
    return None if context is None else context.node_id


def tell_run(settings, report: dict):
    """Logs a line about a run and shows the same on the nodes of its settings, as a list behind what was gained: one
    front end shows its lines as they are, another as Markdown."""
    told, is_loud = run_told(report, bool(settings.inheritance))
    log.log(logging.WARNING if is_loud else logging.INFO, "ASDM: %s", "; ".join(told))
    show_on_nodes(settings.node_ids, "\n- ".join([f"\u26a0 {told[0]}" if is_loud else told[0], *told[1:]]))


def run_told(report: dict, asked_to_inherit: bool) -> tuple[list[str], bool]:
    """(what a run gained and what a user should know of it, whether it is that nothing was gained)."""
    calls = report["native_calls"] + report["fallback_calls"] + sum(report["host_walks"].values())
    if asked_to_inherit and not report["inherited"]:
        return [f"not faster: nothing was reused in {report['evaluations']} steps: {_why_nothing(report)}"], True
    if calls and report["fallback_calls"] == calls:
        return [f"not faster: all of it ran in ComfyUI's own code: {_listed(report['fallback_reasons'])}"], True
    text = json.dumps(report)
    module = native.native_module()
    return [module.run_headline(text), *_by_the_host(report), *module.run_hints(text), *report["notes"][:_SHOWN]], False


def _by_the_host(report: dict) -> list[str]:
    """What of a run was not the engine's."""
    told = []
    if report["places"]:
        seconds = sum(place["seconds"] for place in report["places"])
        places = _shortened([f"{place['address']} ({place['reason']})" for place in report["places"]])
        told.append(f"{seconds:.2f} s in ComfyUI's own code: {places}")
    if report["host_walks"]:
        told.append(f"in ComfyUI's own order: {_listed(report['host_walks'])}")
    if report["fallback_calls"]:
        told.append(f"{report['fallback_calls']} calls in ComfyUI's own code: {_listed(report['fallback_reasons'])}")
    return told


def _why_nothing(report: dict) -> str:
    reasons = [*report["notes"], *report["fallback_reasons"], *report["forced_refreshes"]]
    return _shortened(reasons) if reasons else "no evaluation was due to inherit"


def _listed(reasons: dict) -> str:
    return _shortened([f"{reason} ({count})" for reason, count in reasons.items()])


def _shortened(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def show_on_nodes(node_ids: tuple, text: str):
    """On the nodes of the graph, where a server runs it."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None:
        return
    for node_id in node_ids:
        server.send_progress_text(text, node_id, getattr(server, "client_id", None))
