"""The parts of the benchmark `trust`, and what each must reach."""

EXECUTIONS = 10_000_000
PROMPTS = 2_000
FAULTS = 200
RUNS = 500
SLOPE_MB = 0.1  # of memory, a run

# By part: whether these figures of the long form hold. Those of the short form, which CI runs, hold where nothing is
# wrong; how many there were is not asked.
HOLDS = {
    "fuzz": lambda figures: figures["executions"] >= EXECUTIONS,
    "prompts": lambda figures: figures["prompts"] >= PROMPTS,
    "faults": lambda figures: figures["faults_injected"] == figures["faults_survived"] >= FAULTS,
    "soak": lambda figures: figures["runs"] >= RUNS and figures["memory_slope_mb"] < SLOPE_MB,
    "threads": lambda figures: figures["races"] == 0 and figures["runs"] > 0,
    "restarts": lambda figures: figures["differing"] == 0 and figures["restarts"] > 0,
    "packages": lambda figures: not figures["vulnerable"],
}
WRONG = ("crashes", "corrupted", "silently_wrong", "open_files_slope", "races", "differing")


def nothing_wrong(figures: dict) -> bool:
    return not any(figures.get(word) for word in WRONG)


def holds(part: str, figures: dict) -> bool:
    return HOLDS[part](figures) and nothing_wrong(figures)


def faults(parts: dict) -> list[str]:
    """What does not hold or was not measured, in words."""
    found = [f"{name} not measured" for name in HOLDS if name not in parts]
    return found + [f"{name} does not hold" for name in HOLDS if name in parts and not holds(name, parts[name])]
