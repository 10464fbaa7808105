"""The table of what the pack withstands, for docs/benchmarks.md."""

from collections import defaultdict

from support import trust_parts

from .tables import table

# By part: what it is, and its figures in words.
WORDS = {
    "fuzz": ("inputs of libFuzzer to the readers of plans, UNetSpecs, files and sites",
             "{executions:,} of {asked:,} executions, {crashes} crashes"),
    "prompts": ("random graphs on a real server, each tenth followed by known ones",
                "{prompts:,} of {asked:,} prompts, {unexplained} with an unexplained error, {corrupted} known runs "
                "with other bits, {crashes} crashes"),
    "faults": ("faults at every seam, each followed by known runs",
               "{faults_survived} of {faults_injected} survived, of {asked} asked; {corrupted} corrupted, "
               "{silently_wrong} silently wrong, {crashes} crashes"),
    "soak": ("runs of one process, of all kinds",
             "{runs} of {asked} runs, memory {memory_slope_mb:+.3f} MB a run, open files {open_files_slope:+g} a run, "
             "{silently_wrong} silently wrong, {crashes} crashes"),
    "restarts": ("known runs in a new process", "{restarts} restarts, {differing} with other bits"),
    "threads": ("two runs at once under ThreadSanitizer", "{runs} runs of its tests, {races} races"),
    "packages": ("packages that it is built and tested with, by pip-audit",
                 "{audited} of {components} known to the database, with holes: {vulnerable}"),
}


def section(result: dict) -> list[str]:
    rows = []
    for name, (about, words) in WORDS.items():
        figures = result["parts"].get(name)
        if figures is None:
            rows.append([name, about, "**not yet measured**", "", ""])
            continue
        # A part that crashed at once has no figures beside that.
        shown = words.format_map(defaultdict(int, {**figures, "asked": trust_parts.ASKED.get(name), "vulnerable":
                                                   ", ".join(figures.get("vulnerable", [])) or "none"}))
        rows.append([name, about, shown if trust_parts.holds(name, figures) else f"**{shown}**",
                     str(figures["seconds"]), figures["commit"]])
    introduction = ("What the pack withstands; `SECURITY.md` says what is promised. In bold: what does "
                    "not hold, or was cut off before it had all that is asked.")
    return ["## Trust", introduction, table(["part", "what", "figures", "seconds", "commit"], rows)]
