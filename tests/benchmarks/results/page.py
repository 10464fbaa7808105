"""docs/benchmarks.md, made of stored results alone."""

from . import dial, frontiers, hosts, tables, trust
from .plan import PLAN, Measurement, forwards_on

INTRODUCTION = """# Benchmarks

Made by `bash scripts/bench.sh all`; `bash scripts/bench.sh all --from-stored` renders this page again from the results
in [benchmarks/](benchmarks/). Weights are random, at the published widths unless said otherwise. Competitors run in
processes of their own and take turns round by round; times are medians with their spread, ratios are medians of the
ratios within a round. The floor is a forward's multiply-accumulates at the speed of the fastest convolution measured
beside it. **Bold** figures exceed their limit.
"""


def machines(results: dict[str, dict]) -> str:
    """What the results were measured on, each machine once."""
    found = {}
    for name, result in results.items():
        machine = result.get("machine")
        if machine:
            gpu = f", {machine['gpu']}" if machine.get("gpu") else ""
            memory = f", {machine['memory_bytes'] / 2**30:.0f} GiB" if machine.get("memory_bytes") else ""
            words = (f"{machine['cores']} cores of {machine['cpu']}{memory}{gpu}, torch {machine['torch']}, "
                     f"{machine['date']}")
            found.setdefault(words, []).append(name)
    return "\n".join(f"- {words}: {', '.join(names)}" for words, names in found.items())


def _prefixed(results: dict[str, dict], prefix: str) -> dict[str, dict]:
    """Those of the plan, in its order, then others."""
    order = {measurement.name: number for number, measurement in enumerate(PLAN)}
    names = [name for name in results if name.startswith(prefix)]
    return {name: results[name] for name in sorted(names, key=lambda name: order.get(name, len(order)))}


def _forward_section(results: dict[str, dict]) -> list[str]:
    all_of_them = _prefixed(results, "forward-")
    cpu, amx, gpu = (forwards_on(processor, all_of_them) for processor in ("cpu", "amx", "gpu"))
    parts = []
    if cpu:
        parts += ["## One forward, CPU", "![Time of a forward over the host's](benchmarks/forward.svg)",
                  tables.forward(cpu, "openvino")]
    if amx:
        parts += ["## One forward, CPU with AMX", tables.forward(amx, "openvino")]
    if gpu:
        parts += ["## One forward, GPU", tables.forward(gpu, "compile")]
    return parts


def _profiler_section(results: dict[str, dict]) -> list[str]:
    parts = []
    for name, result in _prefixed(results, "profiler").items():
        size = f"{result['latent']}x{result['latent']}, batch {result['batch']}"
        parts += [f"### {result['model']}, {result['dtype']}, {size}", f"![Time by part](benchmarks/{name}.svg)",
                  tables.kinds(result), "Furthest above the floor:", tables.slowest(result)]
    introduction = ('"proj" is what a transformer does around its units: norm, proj_in, proj_out. "conv" is the first '
                    'convolution of a ResBlock with its norm, "res" the second half. "rest" is what lies outside of '
                    "all blocks: embeddings, joins, the seam.")
    return ["## Where the time goes", introduction, *parts] if parts else []


def _scale_section(results: dict[str, dict]) -> list[str]:
    parts = []
    for name, result in _prefixed(results, "scale").items():
        parts += [f"## Scale, {result['model']}, {result['dtype']}", f"![Growth](benchmarks/{name}.svg)",
                  tables.exponents(result), tables.scale(result)]
    return parts


def _dial_section(results: dict[str, dict]) -> list[str]:
    return dial.section(results["speed"]) if "speed" in results else []


def _quality_section(results: dict[str, dict]) -> list[str]:
    result = results.get("quality")
    if result is None:
        return []
    introduction = (
        f"The emoji model, {result['pictures']}: PSNR and SSIM to the picture of the native engine alone, against the "
        "speed-up over it, both as means; the speed is that of the model's evaluations. Peers run on the same engine, "
        "with the constants of their sources where these leave no choice. A condition is sampler, steps, and what "
        "sampling starts from. Gains are ours over the best peer at equal speed, on straight lines between the points "
        "of each method's frontier.")
    if result.get("missing_cells"):
        introduction += f" **Not whole yet**: {result['missing_cells']} cells (a setting in a condition) are missing."
    cells = result.get("cells", [])
    plots = [f"![Quality over speed](benchmarks/{name}.png)" for name in frontiers.names(cells)]
    return ["## Quality at equal speed", introduction, tables.quality_gains(result), *plots,
            tables.quality_settings(cells)]


def _tried_section(results: dict[str, dict]) -> list[str]:
    result = results.get("tried")
    if result is None:
        return []
    introduction = (f"The emoji model, {result['pictures']} pictures, each at one setting; in brackets the decibels to "
                    "the frontier of these and of the settings above at the same speed.")
    return ["## Modes, values and sites tried", introduction, tables.tried(result)]


def _calibrated_section(results: dict[str, dict]) -> list[str]:
    lines = []
    for name in ("calibrated", "calibrated-normal"):
        if (result := results.get(name)) is not None:
            means = ", ".join(f"{gain:+.1f} dB on the model of {model}"
                              for model, gain in result["mean_gain_by_model_db"].items())
            lines += [f"Plans that ASDMCalibratePlan found with effort {result['effort']} on {result['calibrated_on']} "
                      f"pictures, followed on {result['pictures']} others; the gain is over the dial `speed` at the "
                      f"work that it does, {result['mean_gain_db']:+.1f} dB on the mean ({means}). The "
                      "dial's table of losses was made of the model of scenes; the one of emoji is to it as a model of "
                      "yours.", tables.calibrated(result)]
    return ["## Calibrated plans", *lines] if lines else []


def _smaller_unets_section(results: dict[str, dict]) -> list[str]:
    parts = []
    if "assembled" in results:
        result = results["assembled"]
        parts += ["## Smaller UNets", f"One forward of UNets assembled out of {result['model']}, over the full one in "
                  f"the native engine ({result['dtype']}, {result['latent']}x{result['latent']}, batch "
                  f"{result['batch']}).",
                  tables.assembled(result)]
    if "distilled" in results:
        result = results["distilled"]
        parts += ["## Distilled UNets", f"The emoji model and its `{result['preset']}`: loss of the noise prediction, "
                  f"how much of the gap between cut and teacher is recovered, {result['pictures']} pictures of "
                  f"{result['steps']} steps against the teacher's. The teacher's own pictures are equal to themselves: "
                  "100 dB stand for that.", tables.distilled(result)]
    experts = list(_prefixed(results, "me_cond_conv").values())
    if experts:
        parts += ["## ME-CondConv", "One convolution with several experts over the plain one, inside a ResBlock of the "
                  f"native engine, batch {experts[0]['batch']}; at most {experts[0]['limit']:.0%}.",
                  tables.me_cond_conv(experts)]
    if "switch" in results:
        result = results["switch"]
        curve = result["curve"]
        parts += ["## Two UNets in one run",
                  f"`{result['early']}` for the first {result['switch_percent']:g} % of the steps, then the full "
                  f"{result['model']}, both native. Below: {curve['pictures']} pictures of the emoji model, its small "
                  f"UNet ({curve['student']}) first.", "![PSNR and SSIM over the share](benchmarks/switch.svg)",
                  tables.switch(result)]
    return parts


def _stack_section(results: dict[str, dict]) -> list[str]:
    result = results.get("stack")
    if result is None:
        return []
    introduction = (
        f"Whole runs of {result['steps']} steps of euler over those of the host's own UNet (SD1.5, {result['dtype']}, "
        f"{result['latent']}x{result['latent']}, cond and uncond in one batch), and {result['pictures']} pictures of "
        "the emoji model against those of the engine alone. The names are those of [stack.md](stack.md).")
    return ["## Everything together", introduction, tables.stack(result)]


def _other_sections(results: dict[str, dict]) -> list[str]:
    parts = []
    inheritance = list(_prefixed(results, "inheritance").values())
    if inheritance:
        parts += ["## Inheritance", "Cut `out.8`, interval 3, over the native engine without it.",
                  tables.inheritance(inheritance)]
    reused = list(_prefixed(results, "reused").values())
    if reused:
        parts += ["## What calls of a run reuse", f"{reused[0]['model']}, batch {reused[0]['batch']}, in turns with "
                  "calls that make everything anew.", tables.reused(reused)]
    if "peers" in results:
        parts += ["## Other peers", tables.peers(results["peers"])]
    parity = list(_prefixed(results, "parity").values())
    if parity:
        parts += ["## Parity with the host", tables.parity(parity)]
    if "testbed" in results:
        parts += ["## The model of scenes as a ruler", f"{results['testbed']['pictures']} samples at cfg 8: the noise, "
                  "the steps and the sampler must show in its pictures.", tables.testbed(results["testbed"])]
    if "load" in results:
        parts += ["## Loading", f"A {results['load']['model']} UNet in fp16 from the page cache, until every page of "
                  "it is there.", tables.load(results["load"])]
    if "start" in results:
        parts += ["## From the queue to the first evaluation", "What the pack adds in the second run of a process.",
                  tables.start(results["start"])]
    if "bypass" in results:
        words = "equal bit for bit" if results["bypass"]["holds"] else "**not equal**"
        parts += ["## Bypass", f"Latents of a graph without these nodes, before, with and after the pack: {words}."]
    if "host_leaf" in results:
        parts += ["## A leaf in the host's code", "From the end of one such leaf to the start of the next, between the "
                  "projections of an attention.", tables.host_leaf(results["host_leaf"])]
    if "hosts" in results:
        parts += hosts.section(results["hosts"])
    if "trust" in results:
        parts += trust.section(results["trust"])
    return parts


def missing(results: dict[str, dict], plan: tuple[Measurement, ...] = PLAN) -> list[Measurement]:
    return [measurement for measurement in plan if measurement.name not in results]


def page(results: dict[str, dict]) -> str:
    parts = [INTRODUCTION.strip()]
    if results:
        parts += ["## Machines", machines(results)]
    parts += [*_forward_section(results), *_profiler_section(results), *_scale_section(results),
              *_dial_section(results), *_quality_section(results), *_tried_section(results),
              *_calibrated_section(results),
              *_smaller_unets_section(results), *_stack_section(results), *_other_sections(results)]
    left = missing(results)
    if left:
        parts += ["## Not yet measured", "\n".join(f"- {one.name}: `{one.command()}`" for one in left)]
    return "\n\n".join(parts) + "\n"
