"""The rooms of the house: who may include whom, and how large a file may be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPO

# Room -> the rooms it may include, itself apart. Everything below a room is open to it.
BELOW = {
    "native/base": set(),
    "native/format": {"native/base"},
    "native/layers": {"native/base"},
    "native/inheritance": {"native/format", "native/base"},
    "native/unet": {"native/format", "native/layers", "native/inheritance", "native/base"},
}
BELOW["native/assembly"] = {"native/unet"} | BELOW["native/unet"]
BELOW["native/switching"] = {"native/unet"} | BELOW["native/unet"]
BELOW["nodes"] = set(BELOW)
BELOW["python_glue"] = set(BELOW)

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
PYTHON_HEADER = re.compile(r"^(pybind11/|Python\.h$|torch/extension\.h$|torch/csrc/(utils/pybind|autograd/python))")
TORCH_HEADER = re.compile(r"^(torch|ATen|c10)/")
PRODUCT = ("native", "nodes", "python_glue", "web")
MAX_LINES = 400


def cpp_files():
    rooms = ("native", "nodes", "python_glue")
    return sorted(p for top in rooms for p in (REPO / top).rglob("*") if p.suffix in (".h", ".cpp"))


def room_of(path: str) -> str:
    parts = Path(path).parts
    return "/".join(parts[:2]) if parts[0] == "native" else parts[0]


def includes(file: Path) -> list[str]:
    return INCLUDE.findall(file.read_text(encoding="utf-8"))


def relative(file: Path) -> str:
    return file.relative_to(REPO).as_posix()


@pytest.mark.parametrize("file", cpp_files(), ids=relative)
def test_includes_point_down(file):
    room = room_of(relative(file))
    assert room in BELOW, f"{room} is no room of the house"
    for header in includes(file):
        if header.startswith(("native/", "nodes/", "python_glue/")):
            assert room_of(header) in BELOW[room] | {room}, f"{room} must not include {header}"
        elif (REPO / header).is_file() or (file.parent / header).is_file():
            pytest.fail(f"{header} is included by another path than from the repository's root")


@pytest.mark.parametrize("file", cpp_files(), ids=relative)
def test_only_python_glue_knows_python_and_nodes_know_no_torch(file):
    room = room_of(relative(file))
    if room == "python_glue":
        return
    for header in includes(file):
        assert not PYTHON_HEADER.match(header), f"{room} must not include {header}"
        if room in ("nodes", "native/format"):
            assert not TORCH_HEADER.match(header), f"{room} must not include {header}"


def test_spdlog_stays_behind_its_facade():
    users = [relative(f) for f in cpp_files() if any(h.startswith("spdlog/") for h in includes(f))]
    assert users == ["native/base/log.cpp"]


def test_no_file_lies_loose_in_native():
    assert [p.name for p in (REPO / "native").iterdir() if p.is_file()] == ["CMakeLists.txt"]


def test_product_files_stay_small():
    suffixes = {".h", ".cpp", ".py", ".js", ".md", ".cmake", ".txt"}
    files = [p for top in PRODUCT for p in (REPO / top).rglob("*") if p.suffix in suffixes]
    sizes = {relative(p): len(p.read_text(encoding="utf-8").splitlines()) for p in files}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_LINES} == {}


def test_all_that_knows_the_host_lies_in_one_room_and_is_listed():
    check = subprocess.run([sys.executable, REPO / "scripts" / "host_names.py", "--check"], capture_output=True,
                           text=True)
    assert check.returncode == 0, check.stderr


def test_only_compat_imports_the_hosts_node_api():
    files = sorted((REPO / "python_glue").rglob("*.py"))
    users = [relative(p) for p in files if "comfy_api" in p.read_text(encoding="utf-8")]
    assert users == ["python_glue/host/compat.py"]


def test_no_test_folder_shadows_a_module_of_the_host():
    names = {p.name for p in (REPO / "tests").iterdir() if p.is_dir()}
    assert not names & {"nodes", "comfy", "app", "utils", "execution", "server", "folder_paths"}
