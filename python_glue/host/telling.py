"""Says what a run did: one line in the log, and the same as text on the nodes that asked for it."""

import logging
import sys

from comfy_execution.utils import get_executing_context

_SHOWN = 3  # reasons that a line has room for
log = logging.getLogger("asdm")


def executing_node() -> str | None:
    """The id, in the graph, of the node that runs now; None outside of one."""
    context = get_executing_context()
    return None if context is None else context.node_id


def tell_run(settings, report: dict):
    """Logs the line of a run and shows it on the nodes of its settings."""
    line, is_loud = run_line(report, bool(settings.inheritance))
    log.log(logging.WARNING if is_loud else logging.INFO, "%s", line)
    _show(settings.node_ids, line)


def run_line(report: dict, asked_to_inherit: bool) -> tuple[str, bool]:
    """(what a run did, whether it is that nothing was gained)."""
    calls = report["native_calls"] + report["fallback_calls"] + sum(report["host_walks"].values())
    evaluations = f"{report['evaluations']} evaluations"
    if asked_to_inherit and not report["inherited"]:
        return f"ASDM: nothing was inherited in {evaluations}: {_why_nothing(report)}", True
    if calls and report["fallback_calls"] == calls:
        return f"ASDM: all of it ran in the host's own code: {_listed(report['fallback_reasons'])}", True
    parts = [_speed(report) if asked_to_inherit else
             f"native engine, {evaluations}, {report['seconds_in_unet']:.2f} s in the UNet"]
    if report["places"]:
        seconds = sum(place["seconds"] for place in report["places"])
        places = _shortened([f"{place['address']} ({place['reason']})" for place in report["places"]])
        parts.append(f"{seconds:.2f} s in the host's code: {places}")
    if report["host_walks"]:
        parts.append(f"in the host's own forward: {_listed(report['host_walks'])}")
    if report["fallback_calls"]:
        parts.append(f"{report['fallback_calls']} calls in the host's own code: {_listed(report['fallback_reasons'])}")
    return "ASDM: " + "; ".join(parts), False


def _speed(report: dict) -> str:
    """How fast a run was against one without inheritance, as measured in it."""
    steps = f"{report['full']} full and {report['inherited']} inherited of {report['evaluations']} evaluations"
    steps += f", {report['idle']} without the UNet" if report["idle"] else ""
    saved, spent = report["seconds_saved"], report["seconds_in_unet"]
    if saved is None or not spent:
        return f"{steps}, {1.0 - report['mac_share']:.0%} of the UNet's work saved"
    return f"{(spent + saved) / spent:.2f} times as fast in the UNet, {steps}, {saved:.2f} s saved"


def _why_nothing(report: dict) -> str:
    reasons = [*report["notes"], *report["fallback_reasons"], *report["forced_refreshes"]]
    return _shortened(reasons) if reasons else "no evaluation was due to inherit"


def _listed(reasons: dict) -> str:
    return _shortened([f"{reason} ({count})" for reason, count in reasons.items()])


def _shortened(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _show(node_ids: tuple, text: str):
    """On the nodes of the graph, where a server runs it."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None:
        return
    for node_id in node_ids:
        server.send_progress_text(text, node_id, getattr(server, "client_id", None))
