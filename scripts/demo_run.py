"""Samples the demo model on a real ComfyUI with three engines and prints what each costs. scripts/demo.sh calls it."""

import argparse
import math
import re
import shutil
import signal
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests" / "host"))

from comfy_client import ComfyClient  # noqa: E402
from comfy_server import SCRATCH, ComfyServer, make_base_directory  # noqa: E402
from demo_graph import STEPS, build_prompt  # noqa: E402
from demo_models import demo_models  # noqa: E402
from image_scores import read_scores  # noqa: E402

PROMPTS = ["pizza", "strawberry", "red apple", "dog face", "rocket", "rainbow"]  # lines of demo/captions.txt
QUICK_PROMPTS = PROMPTS[:2]
FIRST_SEED = 7
OUTPUT = SCRATCH / "demo" / "output"
SHARE = re.compile(r"UNet MACs computed[\s|]+([\d.]+) %")


@dataclass
class Measured:
    """What was seen of one engine; one entry a run."""

    whole_seconds: list = field(default_factory=list)
    sampler_seconds: list = field(default_factory=list)
    shares: list = field(default_factory=list)
    psnr: list = field(default_factory=list)
    ssim: list = field(default_factory=list)


def parse_options():
    parser = argparse.ArgumentParser(prog="scripts/demo.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two prompts, one seed each")
    parser.add_argument("--serve", action="store_true", help="sample nothing, serve the browser until Ctrl+C")
    parser.add_argument("--port", type=int, default=0, help="the server's port; default: a free one, 8188 with --serve")
    parser.add_argument("--interval", type=int, default=3, help="interval of ASDMFeatureInheritance (default 3)")
    parser.add_argument("--repeats", type=int, default=3, help="seeds a prompt (default 3)")
    return parser.parse_args()


def run_branch(client, demo, branch, measured, keep):
    """Runs one engine's branch; `keep` names the picture file."""
    run = client.run(demo.prompt, targets=branch.run_targets)
    if run.status != "success":
        raise SystemExit(f"{branch.name} failed at {run.error.get('node_type')}: {run.error.get('exception_message')}")
    if branch.sampler in run.cached:
        raise SystemExit(f"{branch.name} was not sampled but taken from the host's cache: its time would mean nothing")
    measured.whole_seconds.append(run.seconds)
    measured.sampler_seconds.append(run.node_seconds[branch.sampler])
    share = SHARE.search(run.text(branch.report))
    measured.shares.append(float(share[1]) if share else 100.0)  # the host's engine computes all and reports nothing
    keep.parent.mkdir(parents=True, exist_ok=True)
    keep.write_bytes(client.images(run, branch.image)[0])


def compare(client, demo, results):
    """Scores each branch's picture against the first one's; all of them are in the host's cache by now."""
    targets = [branch.compare for branch in demo.branches if branch.compare]
    run = client.run(demo.prompt, targets=targets)
    if run.status != "success":
        raise SystemExit(f"comparing failed: {run.error.get('exception_message')}")
    for branch in demo.branches:
        if branch.compare:
            psnr, ssim = read_scores(run.text(branch.compare))
            results[branch.name].psnr.append(psnr)
            results[branch.name].ssim.append(ssim)


def measure(client, options):
    """Interleaves the engines, each time starting with another one, so that none has the quiet moments for itself."""
    prompts = QUICK_PROMPTS if options.quick else PROMPTS
    repeats = 1 if options.quick else options.repeats
    print("Warming up ...", flush=True)
    results = {branch.name: Measured() for branch in build_prompt("", 0, options.interval).branches}
    warm_up = build_prompt(prompts[0], FIRST_SEED - 1, options.interval)
    for branch in warm_up.branches:
        run_branch(client, warm_up, branch, Measured(), OUTPUT / "warm_up" / f"{branch.image}.png")
    shutil.rmtree(OUTPUT / "warm_up")
    turn = 0
    for text in prompts:
        for seed in range(FIRST_SEED, FIRST_SEED + repeats):
            print(f"Sampling '{text}', seed {seed} ...", flush=True)
            demo = build_prompt(text, seed, options.interval)
            turn += 1
            for branch in demo.branches[turn % 3 :] + demo.branches[: turn % 3]:
                folder = re.sub(r"\W+", "_", branch.name)
                run_branch(client, demo, branch, results[branch.name], OUTPUT / folder / f"{text}_{seed}.png")
            compare(client, demo, results)
    return results


def mean_text(values, digits):
    if not values:
        return "-"
    mean = statistics.fmean(values)
    return "inf" if math.isinf(mean) else f"{mean:.{digits}f}"


def print_table(results):
    base = next(iter(results.values()))
    runs = len(base.whole_seconds)
    print(f"\nMedian of {runs} interleaved runs a row after a warm-up: {STEPS} steps, 128 x 128, one picture.")
    print("PSNR and SSIM: mean over the pictures, against the host engine's with the same prompt and seed.\n")
    headings = [("sampling", 10), ("speed-up", 10), ("whole run", 11), ("speed-up", 10), ("UNet MACs", 11)]
    headings += [("PSNR", 9), ("SSIM", 8)]
    print(" " * 28 + "".join(f"{heading:>{width}}" for heading, width in headings))
    for name, seen in results.items():
        sampling, whole = statistics.median(seen.sampler_seconds), statistics.median(seen.whole_seconds)
        print(
            f"{name:28}{sampling:8.3f} s{statistics.median(base.sampler_seconds) / sampling:9.2f}x"
            f"{whole:9.3f} s{statistics.median(base.whole_seconds) / whole:9.2f}x"
            f"{statistics.fmean(seen.shares):9.1f} %{mean_text(seen.psnr, 2):>9}{mean_text(seen.ssim, 4):>8}"
        )
    print(f"\nPictures: {OUTPUT.relative_to(REPO)}/")


def show_address(server):
    print(
        f"\nComfyUI with the pack runs at {server.address}; its templates are in example_workflows/. Ctrl+C ends it."
    )
    sys.stdout.flush()
    signal.pause()


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(OUTPUT, ignore_errors=True)
    base = make_base_directory("demo/host", demo_models())
    port = options.port or (8188 if options.serve else None)
    print("Starting ComfyUI ...", flush=True)
    with ComfyServer(base, port=port) as server:
        if not options.serve:
            print_table(measure(ComfyClient(server.address), options))
            return
        try:
            show_address(server)
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
