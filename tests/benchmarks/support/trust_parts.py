"""The parts of the benchmark `trust`, and what each must reach."""

ASKED = {"fuzz": 10_000_000, "prompts": 2_000, "faults": 200, "soak": 500}
SLOPE_MB = 0.1  # of memory, a run: below that

# By part: whether these figures of the long form hold. Those of the short form, which CI runs, hold where nothing is
# wrong; how many there were is not asked.
HOLDS = {
    "fuzz": lambda figures: figures["executions"] >= ASKED["fuzz"],
    "prompts": lambda figures: figures["prompts"] >= ASKED["prompts"],
    "faults": lambda figures: figures["faults_injected"] == figures["faults_survived"] >= ASKED["faults"],
    "soak": lambda figures: figures["runs"] >= ASKED["soak"] and figures["memory_slope_mb"] < SLOPE_MB,
    "threads": lambda figures: figures["races"] == 0 and figures["runs"] > 0,
    "restarts": lambda figures: figures["differing"] == 0 and figures["restarts"] > 0,
    "packages": lambda figures: figures["audited"] > 0,
}
WRONG = ("crashes", "unexplained", "corrupted", "silently_wrong", "open_files_slope", "races", "differing",
         "vulnerable")


def nothing_wrong(figures: dict) -> bool:
    return not any(figures.get(word) for word in WRONG)


def holds(part: str, figures: dict) -> bool:
    return nothing_wrong(figures) and HOLDS[part](figures)


def faults(parts: dict) -> list[str]:
    """What does not hold or was not measured, in words."""
    found = [f"{name} not measured" for name in HOLDS if name not in parts]
    return found + [f"{name} does not hold" for name in HOLDS if name in parts and not holds(name, parts[name])]
