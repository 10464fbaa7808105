"""Plots of quality over speed, one for each sampler and count of steps, with a panel for each task."""

from support.frontier import Point, frontier
from support.quality_settings import OURS

TASKS = {"text": "text-to-image", "image": "image-to-image"}
COLOURS = ("#d08c3c", "#8a8f98", "#b0529a", "#5aa469", "#c44e52", "#7b6cc4")  # of peers; ours is the page's blue
OUR_COLOUR = "#3b6fb6"


def _by_plot(cells: list[dict]) -> dict[str, dict[str, list[dict]]]:
    """Cells by name of the plot and task; a condition is named SAMPLER-STEPS-TASK."""
    found = {}
    for cell in cells:
        of_plot, _, task = cell["condition"].rpartition("-")
        found.setdefault(f"quality-{of_plot}", {}).setdefault(task, []).append(cell)
    return found


def names(cells: list[dict]) -> list[str]:
    return sorted(_by_plot(cells))


def _panel(axes, cells: list[dict], colours: dict[str, str]):
    for method, colour in colours.items():
        points = [Point(cell["speedup"], cell["psnr"]) for cell in cells if cell["method"] == method]
        edge = frontier(points)
        axes.plot([point.speed for point in points], [point.psnr for point in points], ".", color=colour, alpha=0.35)
        axes.plot([point.speed for point in edge], [point.psnr for point in edge], ".-", color=colour, label=method,
                  linewidth=2.2 if method == OURS else 1.2)
    axes.set_xlabel("speed-up")
    axes.grid(alpha=0.25)


def figures(cells: list[dict]) -> dict:
    """A figure by name of its plot."""
    from matplotlib import pyplot
    methods = sorted({cell["method"] for cell in cells} - {OURS})
    colours = {OURS: OUR_COLOUR, **dict(zip(methods, COLOURS, strict=False))}
    found = {}
    for name, by_task in sorted(_by_plot(cells).items()):
        figure, panels = pyplot.subplots(1, len(by_task), figsize=(4.6 * len(by_task), 3.8), squeeze=False, dpi=130)
        for axes, task in zip(panels[0], [task for task in TASKS if task in by_task], strict=True):
            _panel(axes, by_task[task], colours)
            axes.set_title(TASKS[task], fontsize=9)
        panels[0][0].set_ylabel("PSNR to the unaccelerated picture, dB")
        panels[0][-1].legend(frameon=False, fontsize=7)
        found[name] = figure
    return found
