"""A ComfyUI that is measured: its folder, its Python, and commands that run with both."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from . import measure

ROOT = Path(__file__).resolve().parents[3]
LOGS = ROOT / ".test" / "logs" / "hosts"
PACKAGES = "import json, platform, torch; print(json.dumps([torch.__version__, platform.python_version()]))"
# Whatever a figure can depend on; the page that it ends in is not.
SOURCES = ("--", ":/", ":(exclude,top)docs", ":(exclude,top)*.md")


def commit() -> str:
    """The commit of the pack, with a mark where sources were changed since."""
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

    found = git("rev-parse", "--short", "HEAD")
    if found.returncode != 0:
        return "no repository"
    return found.stdout.strip() + ("" if git("diff", "--quiet", "HEAD", *SOURCES).returncode == 0 else "+changes")


class MeasuredHost:
    def __init__(self, folder: Path, python: str):
        self.folder = folder.resolve()
        self.python = python
        self.version = self._version()
        self.environment = {**os.environ, "COMFYUI_PATH": str(self.folder), "PYTHON": python,
                            "OMP_WAIT_POLICY": "passive"}  # as in scripts/test.sh
        self.logs = LOGS / self.version

    @classmethod
    def of_this_process(cls) -> "MeasuredHost":
        """The host and the Python that scripts/bench.sh was called with."""
        return cls(Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI"), sys.executable)

    @classmethod
    def prepared(cls, folder: str) -> "MeasuredHost":
        """The ComfyUI in `folder` with the environment that scripts/setup.sh makes for it."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
        environment["COMFYUI_PATH"] = folder
        scripts = ROOT / "scripts"
        subprocess.run([scripts / "setup.sh", "venv", "host"], env=environment, check=True)
        say = f'source "{scripts / "environment.sh"}"; echo "$python"'
        found = subprocess.run(["bash", "-c", say], env=environment, check=True, capture_output=True, text=True)
        return cls(Path(folder), found.stdout.strip())

    def _version(self) -> str:
        file = self.folder / "comfyui_version.py"
        text = file.read_text(encoding="utf-8") if file.is_file() else "no such file"
        found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
        if not found:
            raise ValueError(f"{file}: expected a line with __version__, got {text.strip()!r}")
        return found[1]

    def machine(self) -> dict:
        """What the figures belong to, with the packages of the host's own Python."""
        torch_version, python = json.loads(self.output([self.python, "-c", PACKAGES]))
        return {**measure.machine(), "torch": torch_version, "python": python}

    def output(self, command: list[str]) -> str:
        """What a command prints. RuntimeError where it fails."""
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"{self.version}, {' '.join(command)}: expected exit status 0, got {result.returncode}:"
                               f"\n{result.stderr[-4000:]}")
        return result.stdout

    def log_of(self, name: str, command: list[str], folder: Path = ROOT, **environment: str) -> str:
        """What a command that may fail says, which is kept as the log `name` too."""
        self.logs.mkdir(parents=True, exist_ok=True)
        path = self.logs / f"{name}.log"
        with path.open("wb") as log:
            subprocess.run(command, env=self.environment | environment, cwd=folder, stdin=subprocess.DEVNULL,
                           stdout=log, stderr=subprocess.STDOUT)
        return path.read_text(encoding="utf-8", errors="replace")
