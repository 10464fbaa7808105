"""The report of a run (docs/report.md), made from what the run counted."""

from collections import Counter

from comfy.patcher_extension import WrappersMP

from .. import native

# A plan's sigmas and a run's are the same where they agree as closely as samplers follow their schedules.
_SIGMA_MARGIN = 1e-4


def address_rows(names: list[str], record: dict, host_evaluations: set[int]) -> list[dict]:
    """One row per block, layer and unit that the run watched; `host_evaluations`: those of which the host ran calls."""
    log = record["log"]
    watched = log[0]["actions"] if log else {}
    rows = []
    counts = zip(names, record["computed_nodes"], record["inherited_nodes"], record["forecast_nodes"], strict=True)
    for name, computed, inherited, forecast in counts:
        if name not in watched:
            continue
        actions = "".join(
            "h" if entry["actions"][name] == "-" and index in host_evaluations else entry["actions"][name]
            for index, entry in enumerate(log))
        rows.append({"address": name, "computed": computed, "inherited": inherited, "forecast": forecast,
                     "not_run": record["calls"] - computed - inherited - forecast, "actions": actions})
    return rows


def control_row(control) -> dict:
    """The row of the ControlNets, from a ControlLedger."""
    return {"address": "control", "computed": control.calls - control.skipped, "inherited": control.stood_in,
            "forecast": 0, "not_run": control.skipped - control.stood_in, "actions": "".join(control.actions)}


def idle_evaluations(log: list[dict], host_evaluations: set[int]) -> list[int]:
    """Those in which no call of the UNet came to the engine."""
    return [index for index, entry in enumerate(log)
            if index not in host_evaluations and set(entry["actions"].values()) == {"-"}]


def idle_notes(idle: int, other_caches: list[str]) -> list[str]:
    stood_in = " and ".join(other_caches) or "another pack"
    return [f"{idle} evaluations called no UNet: {stood_in} stood in for it"] if idle else []


def plan_notes(plan, family: str, log: list[dict]) -> list[str]:
    """Where a run and the Plan that it followed do not match."""
    notes = []
    if plan.family != family:
        notes.append(f"the plan was made for {plan.family}, this UNet is {family}")
    wanted = plan.sigmas
    if len(log) > len(wanted):
        notes.append(f"the plan has {len(wanted)} evaluations, the run made {len(log)}; those behind it were full")
    elif len(log) < len(wanted):
        notes.append(f"the plan has {len(wanted)} evaluations, the run made {len(log)}")
    for index, (sigma, entry) in enumerate(zip(wanted, log, strict=False)):
        known = sigma > 0.0  # a plan that was begun by hand knows none
        if known and abs(entry["sigma"] - sigma) > _SIGMA_MARGIN * max(sigma, entry["sigma"]):
            notes.append(f"sigmas are not the plan's from evaluation {index} on "
                         f"({entry['sigma']:.4g} where the plan has {sigma:.4g}); it was followed by index")
            break
    return notes


def recorded_plan(settings, family: str, steps: int, log: list[dict]) -> str:
    """The JSON that replays the run; empty where it made no evaluation."""
    if not log:
        return ""
    asked = settings.inheritance or native.native_module().InheritanceRequest()
    return native.native_module().Plan(
        family=family, steps=max(steps, 1), value=asked.value, storage=asked.storage,
        evaluations=[(entry["sigma"], entry["sites"]) for entry in log]).json()


def inherited_sites(names: list[str], log: list[dict]) -> list[str]:
    """Addresses that some evaluation inherited, in the order of the UNet."""
    found = {site for entry in log for site in entry["sites"]}
    return sorted(found, key=lambda site: (names.index(site.partition(":")[0]), site))


def _spliced(runs: list[dict], order: list[int]) -> list[dict]:
    """The rows of all UNets' addresses; where one lacks an address, it did not run it."""
    rows = {}
    for position, report in enumerate(runs):
        for row in report["addresses"]:
            merged = rows.setdefault(row["address"], {"address": row["address"], "computed": 0, "inherited": 0,
                                                      "forecast": 0, "not_run": 0, "actions": ["-"] * len(order)})
            for name in ("computed", "inherited", "forecast", "not_run"):
                merged[name] += row[name]
            letters = iter(row["actions"])
            for evaluation in (index for index, made_by in enumerate(order) if made_by == position):
                merged["actions"][evaluation] = next(letters, "-")
    return [row | {"actions": "".join(row["actions"])} for row in rows.values()]


def switched_report(runs: list, order: list[int]) -> dict:
    """One report of a run that several UNets made. `runs`: theirs, in the order of the chain; `order`: for each
    evaluation the position of its UNet. The plan is the last UNet's; savings are each UNet's against its own full
    calls."""
    reports = [run.report() for run in runs]
    merged = dict(reports[-1])
    for name in ("steps", "evaluations", "full", "inherited", "idle", "native_calls", "calls_with_hooks",
                 "fallback_calls", "control_calls", "skipped_control_calls", "seconds_in_unet", "cache_bytes",
                 "places"):
        merged[name] = sum((report[name] for report in reports), [] if name == "places" else 0)
    for name in ("fallback_reasons", "forced_refreshes", "host_walks"):
        merged[name] = dict(sum((Counter(report[name]) for report in reports), Counter()))
    for name in ("sites", "other_caches"):
        merged[name] = list(dict.fromkeys(entry for report in reports for entry in report[name]))
    saved = [report["seconds_saved"] for report in reports if report["seconds_saved"] is not None]
    done, full = (sum(counts) for counts in zip(*(run.macs for run in runs), strict=True))
    sigmas = [iter(report["sigmas"]) for report in reports]
    notes = []
    for number, (run, report) in enumerate(zip(runs, reports, strict=True)):
        made = [str(index) for index, position in enumerate(order) if position == number]
        title = f"UNet {number + 1} of {len(runs)} ({run.hosted.family})"
        notes.append(f"{title} made evaluations {', '.join(made) or 'none'}: {report['seconds_in_unet']:.2f} s in it")
        notes += [f"{title}: {note}" for note in report["notes"]]
    return merged | {"seconds_saved": sum(saved) if saved else None, "mac_share": done / full if full else 1.0,
                     "seconds": max(report["seconds"] for report in reports),
                     "sigmas": [next(sigmas[position]) for position in order],
                     "addresses": _spliced(reports, order), "notes": notes}


def idle_compilation(model_options: dict) -> list[str]:
    """What is to be said of torch.compile on the same model."""
    wrappers = model_options.get("transformer_options", {}).get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {})
    return ["torch.compile is on this model and gains nothing: the native engine computes in its place; leave it out"
            ] if wrappers.get("torch.compile") else []


def other_caches(model_options: dict) -> list[str]:
    """Names of caches of the host's that work on the same model (EasyCache, LazyCache)."""
    holder = model_options.get("transformer_options", {}).get("easycache")
    return [] if holder is None else [getattr(holder, "name", type(holder).__name__)]
