"""One row of figures: the native engine, the host and their peers on one case, with what must hold of it."""

from support import measure
from support.case import Case
from support.competition import Outcome

# Ratios that a row must not exceed. The first holds everywhere, the second for the case that all quote, the last, by
# latent size, for bf16 where the processor multiplies tiles of it.
EVERYWHERE = {"cpu": {"native_over_openvino": 1.0}, "cuda": {}}
REFERENCE = {
    "cpu": {"fp32": {"native_over_host": 0.6, "native_over_floor": 1.25},
            "bf16": {"native_over_host": 0.6, "native_over_floor": 1.45}},
    "cuda": {"fp16": {"native_over_host": 0.5, "native_over_compile": 1 / 1.3}},
}
TILES = {64: {"native_over_openvino": 0.7, "native_over_floor": 2.2}, 32: {"native_over_openvino": 0.9}}


def is_reference(case: Case) -> bool:
    return (case.model, case.width, case.latent, case.batch) == ("sd15", 0, 64, 2)


def limits(case: Case, tiles: bool | None = None) -> dict[str, float]:
    """`tiles`: whether the processor has AMX; asked where it is not told."""
    tiles = measure.has_tiles() if tiles is None else tiles
    if (case.device, case.dtype, case.model, case.width) == ("cpu", "bf16", "sd15", 0) and tiles:
        return {**EVERYWHERE["cpu"], **TILES.get(case.latent, {})}
    of_reference = REFERENCE[case.device].get(case.dtype, {}) if is_reference(case) else {}
    return {**EVERYWHERE[case.device], **of_reference}


def over_floor(native: Outcome, convolution: Outcome) -> dict:
    """How far the native engine is from the floor, round by round."""
    macs = native.facts["macs"]
    floors = [2 * macs / flops for flops in convolution.series("flops")]
    return {"macs": macs, "floor": measure.summary(floors),
            "native_over_floor": measure.median_ratio(native.series(), floors),
            "convolution": {"median_flops": measure.median(convolution.series("flops")),
                            "shapes": sorted({run["shape"] for run in convolution.runs})}}


def compared(case: Case, outcomes: dict[str, Outcome]) -> dict:
    """Seconds of each competitor, ratios within a round, distance of each output to the host's."""
    native = outcomes["native"]
    row = {"dtype": case.dtype, "model": case.model, "width": case.width or "published", "latent": case.latent,
           "batch": case.batch, "threads": case.threads, "device": case.device, "relative_l2": {}, "peak_rss_bytes": {}}
    for name, outcome in outcomes.items():
        if name == "convolution":
            row.update(over_floor(native, outcome))
            continue
        row[name] = measure.summary(outcome.series())
        if outcome.runs[0]["peak_rss_bytes"]:
            row["peak_rss_bytes"][name] = max(outcome.series("peak_rss_bytes"))
        if name != "native":
            row[f"native_over_{name}"] = measure.median_ratio(native.series(), outcome.series())
        if name != "host" and outcome.output is not None:
            row["relative_l2"][name] = measure.relative_l2(outcome.output, outcomes["host"].output)
        if "version" in outcome.facts:
            row[f"{name}_version"] = outcome.facts["version"]
    return row


def judged(row: dict, bounds: dict[str, float]) -> dict:
    """The row with its bounds. A ratio that was not measured does not hold."""
    return {**row, "limits": bounds,
            "holds": all(name in row and row[name] <= bound for name, bound in bounds.items())}
