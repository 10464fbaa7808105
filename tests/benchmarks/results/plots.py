"""The plots of docs/benchmarks.md, out of stored results. The same results give the same bytes."""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

from . import frontiers  # noqa: E402
from .plan import forwards_on  # noqa: E402

plt.rcParams.update({"svg.hashsalt": "asdm", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
                     "axes.spines.right": False})
COLOURS = {"host": "#8a8f98", "openvino": "#d08c3c", "native": "#3b6fb6", "floor": "#cfd4da", "inheriting": "#5aa469"}


def save(figure, path: Path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def forward(results: list[dict], path: Path):
    """Bars by case, each over the host's time."""
    rows = [row for result in results for row in result["rows"]]
    names = [name for name in ("openvino", "native", "floor") if any(name in row for row in rows)]
    figure, axes = plt.subplots(figsize=(9, 3.4))
    for number, name in enumerate(names):
        heights = [row[name]["median_s"] / row["host"]["median_s"] if name in row else 0 for row in rows]
        axes.bar([x + 0.27 * (number - 1) for x in range(len(rows))], heights, 0.25, label=name, color=COLOURS[name])
    axes.axhline(1.0, color=COLOURS["host"], linewidth=1, label="host")
    labels = [f"{row['model']} {row['dtype']}\n{row['latent']}x{row['latent']} b{row['batch']}" for row in rows]
    axes.set_xticks(range(len(rows)), labels, fontsize=6)
    axes.set_ylabel("time over the host's")
    axes.legend(ncols=4, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    save(figure, path)


def profiler(result: dict, path: Path):
    """Time by part, and how much of it the floor would take."""
    rows = [row for row in result["kinds"] if row["share_of_time"] > 0.001][::-1]
    figure, axes = plt.subplots(figsize=(6, 0.3 * len(rows) + 0.9))
    names = [row["kind"] for row in rows]
    axes.barh(names, [row["seconds"] * 1e3 for row in rows], color=COLOURS["native"], label="measured")
    axes.barh(names, [row["seconds"] * row["floor_share"] * 1e3 for row in rows], color=COLOURS["floor"],
              label="at the floor", height=0.4)
    axes.set_xlabel("ms of a forward")
    axes.legend(frameon=False, loc="lower right")
    save(figure, path)


def scale(result: dict, path: Path):
    """Per curve: time a latent pixel, peak memory, speed-up."""
    curves = list(dict.fromkeys(row["curve"] for row in result["rows"]))
    figure, grid = plt.subplots(3, len(curves), figsize=(2.6 * len(curves), 6.4), squeeze=False)
    for column, curve in enumerate(curves):
        rows = [row for row in result["rows"] if row["curve"] == curve]
        values = [row["value"] for row in rows]
        for name in ("host", "native", "inheriting"):
            if name not in rows[0]:
                continue
            grid[0][column].plot(values, [row[name]["seconds_per_pixel"] * 1e6 for row in rows], "o-", label=name,
                                 color=COLOURS[name])
            grid[1][column].plot(values, [row[name]["peak_rss_bytes"] / 2**30 for row in rows], "o-",
                                 color=COLOURS[name])
        grid[2][column].plot(values, [1 / row["native_over_host"] for row in rows], "o-", color=COLOURS["native"])
        grid[2][column].set_xlabel(curve)
        for axes in grid[:, column]:
            axes.set_xscale("log", base=2)
            axes.set_xticks(values, [str(value) for value in values])
            axes.set_ylim(bottom=0)
            axes.minorticks_off()
    labels = ("µs a latent pixel", "peak memory, GiB", "speed-up over the host")
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    grid[0][-1].legend(frameon=False)
    save(figure, path)


def switch(result: dict, path: Path):
    """PSNR and SSIM to the full model's pictures over the share of steps that the small UNet makes."""
    rows = result["curve"]["rows"]
    percents = [row["switch_percent"] for row in rows]
    figure, axes = plt.subplots(figsize=(5, 3.2))
    lines = axes.plot(percents, [row["psnr"] for row in rows], "o-", color=COLOURS["native"], label="PSNR")
    other = axes.twinx()
    lines += other.plot(percents, [row["ssim"] for row in rows], "s--", color=COLOURS["inheriting"], label="SSIM")
    axes.set_xlabel("switch_percent")
    axes.set_ylabel("PSNR to the full model's picture, dB")
    other.set_ylabel("SSIM")
    axes.grid(alpha=0.25)
    axes.legend(handles=lines, frameon=False)
    save(figure, path)


def draw(results: dict[str, dict], folder: Path):
    """All plots that these results allow."""
    cpu = forwards_on("cpu", results)
    if cpu:
        forward(cpu, folder / "forward.svg")
    for name, result in results.items():
        if name.startswith("profiler"):
            profiler(result, folder / f"{name}.svg")
        elif name.startswith("scale"):
            scale(result, folder / f"{name}.svg")
        elif name == "switch":
            switch(result, folder / f"{name}.svg")
        elif name == "quality":
            for plot, figure in frontiers.figures(result.get("cells", [])).items():
                save(figure, folder / f"{plot}.png")
