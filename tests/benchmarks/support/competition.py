"""Competitors in processes of their own, measured in turns: round by round, so that what slows a round slows all of it.
While one runs, the others wait for their next line and take nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from support.case import Case

ROOT = Path(__file__).resolve().parents[3]
WORKERS = ROOT / "tests" / "benchmarks" / "workers"
LOGS = ROOT / ".test" / "benchmarks"
PAUSE = 0.3  # seconds in which the threads of the last competitor stop spinning


def peer_environment(name: str) -> Path:
    """The folder of an environment of scripts/bench_peers.sh, which is made where it is not there."""
    subprocess.run([str(ROOT / "scripts" / "bench_peers.sh"), name], check=True, stdout=sys.stderr)
    return ROOT / ".test" / "peers" / name


@dataclass(frozen=True)
class Competitor:
    """Which worker to run, in which environment."""

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    environment: str = ""  # of scripts/bench_peers.sh; empty: this process's own
    works_ahead: bool = False  # makes files before anybody is measured

    def python(self) -> str:
        return str(peer_environment(self.environment) / "bin" / "python") if self.environment else sys.executable

    def work_ahead(self, case: Case):
        command = [self.python(), str(WORKERS / self.script), "ahead", case.model, str(case.width)]
        subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "PYTHONWARNINGS": "ignore"})


def known_competitors(device: str) -> dict[str, Competitor]:
    """Those that run one forward of the same UNet."""
    return {
        "host": Competitor("host", "hosted_unet.py", ("host", device)),
        "native": Competitor("native", "hosted_unet.py", ("native", device)),
        "compile": Competitor("compile", "hosted_unet.py", ("compile", device)),
        "openvino": Competitor("openvino", "openvino_unet.py", (), "openvino", works_ahead=True),
        "convolution": Competitor("convolution", "convolution.py"),
    }


def known_samplers(device: str) -> dict[str, Competitor]:
    """Those that run a whole sampling, several ways each."""
    return {
        "hosted": Competitor("hosted", "hosted_sampling.py", (device,)),
        "diffusers": Competitor("diffusers", "diffusers_sampling.py", (), "deepcache"),
        "stable_diffusion_cpp": Competitor("stable_diffusion_cpp", "stable_diffusion_cpp_sampling.py", (),
                                           "stable_diffusion_cpp"),
    }


class Worker:
    """A running competitor. Use as a context manager."""

    def __init__(self, competitor: Competitor, threads: int):
        self.competitor = competitor
        LOGS.mkdir(parents=True, exist_ok=True)
        self._log = LOGS / f"{competitor.name}.log"
        command = [competitor.python(), str(WORKERS / competitor.script), *competitor.arguments]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"})

    def __enter__(self):
        try:
            self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"its process ended with {self._process.wait()}"}
        if "error" in answer:
            raise RuntimeError(f"competitor {self.competitor.name}: expected an answer, got {answer['error']}; "
                               f"see {self._log}")
        return answer

    def ask(self, do: str, **details) -> dict:
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def prepare(self, case: Case) -> dict:
        return self.ask("case", case=asdict(case))

    def run(self, **what) -> dict:
        time.sleep(PAUSE)
        return self.ask("run", **what)

    def output(self):
        """The last output, as an array."""
        import numpy
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "output.npy"
            self.ask("save", path=str(path))
            return numpy.load(path)


@dataclass
class Outcome:
    """What one competitor answered."""

    facts: dict  # of prepare
    runs: list[dict]  # by round
    output: object = None  # an array; None for those that were not asked for it

    def series(self, key: str = "seconds") -> list[float]:
        return [run[key] for run in self.runs]


def available_memory() -> int:
    info = Path("/proc/meminfo")
    if not info.exists():
        return 0
    line = next(line for line in info.read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def fits_together(competitors: list[Competitor], case: Case) -> bool:
    """Whether all may stand in memory at once: a copy of the weights each with a sixth on top, and what a process and a
    forward take beside."""
    models = [one for one in competitors if one.name != "convolution"]
    return case.width > 0 or len(models) * (case.weight_bytes() * 7 // 6 + 2**30) < available_memory()


def compete(competitors: list[Competitor], cases: list[Case], rounds: int,
            outputs: tuple[str, ...] = ()) -> dict[Case, dict[str, Outcome]]:
    """By case, all of one model and dtype, and by name: each competitor warmed up once and then run once a round. Where
    they do not fit into memory together, each is started anew for each of its turns and then runs every case."""
    for one in competitors:
        if one.works_ahead:
            one.work_ahead(cases[0])
    compete_here = _compete_together if fits_together(competitors, cases[0]) else _compete_alone
    return compete_here(competitors, cases, rounds, outputs)


def _compete_together(competitors, cases, rounds, outputs) -> dict[Case, dict[str, Outcome]]:
    workers, outcomes = {}, {}
    try:
        for one in competitors:
            workers[one.name] = Worker(one, cases[0].threads).__enter__()
        for case in cases:
            outcomes[case] = {}
            for name, worker in workers.items():
                outcomes[case][name] = Outcome(worker.prepare(case), [])
                worker.run()
            _run_rounds(workers, outcomes[case], rounds, outputs)
        return outcomes
    finally:
        for worker in workers.values():
            worker.__exit__()


def take_turns(entries: dict[str, Callable[[], dict]], rounds: int) -> dict[str, list[dict]]:
    """Calls every entry once a round; what each answered, by round."""
    answers = {name: [] for name in entries}
    for number in range(rounds):
        # There and back, so that a machine that slows down steadily favours nobody.
        for name in list(entries) if number % 2 == 0 else reversed(entries):
            answers[name].append(entries[name]())
            _show(name, number, answers[name][-1])
    return answers


def _run_rounds(workers: dict[str, Worker], outcomes: dict[str, Outcome], rounds: int, outputs: tuple[str, ...]):
    """Adds the rounds of workers that stand prepared and warm to `outcomes`."""
    for name, runs in take_turns({name: worker.run for name, worker in workers.items()}, rounds).items():
        outcomes[name].runs.extend(runs)
    for name in outputs:
        outcomes[name].output = workers[name].output()


def _compete_alone(competitors, cases, rounds, outputs) -> dict[Case, dict[str, Outcome]]:
    outcomes = {case: {one.name: Outcome({}, []) for one in competitors} for case in cases}
    for number in range(rounds):
        for one in competitors if number % 2 == 0 else reversed(competitors):
            with Worker(one, cases[0].threads) as worker:
                for case in cases:
                    outcome = outcomes[case][one.name]
                    outcome.facts = worker.prepare(case)
                    worker.run()
                    outcome.runs.append(worker.run())
                    _show(one.name, number, outcome.runs[-1])
                    if one.name in outputs and outcome.output is None:
                        outcome.output = worker.output()
    return outcomes


def _show(name: str, number: int, run: dict):
    print(json.dumps({"round": number, "competitor": name, **run}), flush=True)
