"""A real ComfyUI server with this pack, in its own base directory, for tests, the demo and benchmarks."""

import atexit
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SCRATCH = REPO / ".test"
LAUNCHER = Path(__file__).with_name("launch_comfy.py")
PACK_FOLDER = "ComfyUI-ASDM"
START_TIMEOUT = 300.0
STOP_TIMEOUT = 15.0


class ServerFailed(RuntimeError):
    """The server did not come up, or died; the message ends with the end of its log."""


def comfy_folder():
    return Path(os.environ.get("COMFYUI_PATH") or REPO / ".host" / "ComfyUI")


def host_flags():
    """ASDM_HOST_FLAGS lets a machine with a GPU run the same tests and demo on it."""
    return shlex.split(os.environ.get("ASDM_HOST_FLAGS", "--cpu"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_base_directory(name, models=None, with_pack=True):
    """A fresh ComfyUI base directory `.test/NAME`; `models` maps a model folder to the files it shall show."""
    base = SCRATCH / name
    shutil.rmtree(base, ignore_errors=True)
    for folder in ("custom_nodes", "input", "output", "temp", "user/default"):
        (base / folder).mkdir(parents=True)
    # Without this the front end covers its canvas with the template gallery on the first visit.
    (base / "user/default/comfy.settings.json").write_text(json.dumps({"Comfy.TutorialCompleted": True}))
    for folder, files in (models or {}).items():
        (base / "models" / folder).mkdir(parents=True)
        for file in map(Path, files):
            (base / "models" / folder / file.name).symlink_to(file.resolve())
    if with_pack:
        (base / "custom_nodes" / PACK_FOLDER).symlink_to(REPO, target_is_directory=True)
    return base


class ComfyServer:
    """Use as a context manager, or call start() and stop(). The log is BASE/server.log."""

    def __init__(self, base_directory, port=None, flags=(), listen="127.0.0.1"):
        self.base_directory = Path(base_directory)
        self.port = port or free_port()
        self.listen = listen
        self.flags = [*host_flags(), *flags]
        self.log_file = self.base_directory / "server.log"
        self._process = None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def command(self):
        python = os.environ.get("PYTHON") or sys.executable
        own = ["--base-directory", self.base_directory, "--listen", self.listen, "--port", self.port]
        # The host keeps its database in its own folder, where two servers would lock each other out.
        database = f"sqlite:///{self.base_directory}/user/comfyui.db"
        own += ["--database-url", database, "--disable-api-nodes", "--disable-auto-launch"]
        return [str(part) for part in (python, LAUNCHER, comfy_folder(), *own, *self.flags)]

    def start(self):
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.base_directory,
                start_new_session=True,  # its own process group, so that stop() takes children with it
            )
        atexit.register(self.stop)
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.stop)
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
            except ProcessLookupError:
                break
            try:
                process.wait(STOP_TIMEOUT)
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()

    def is_alive(self):
        return self._process is not None and self._process.poll() is None

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if not self.is_alive():
                raise ServerFailed(f"ComfyUI ended while starting:\n{self.log()[-4000:]}")
            try:
                with urllib.request.urlopen(f"{self.address}/system_stats", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise ServerFailed(f"ComfyUI was not ready within {START_TIMEOUT:.0f} s:\n{self.log()[-4000:]}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
