"""Brings the native module for the Python that runs this; ComfyUI-Manager calls it after it fetched the pack.

Where ASDM_WHEELS names a folder or a page of wheels (scripts/wheels.sh makes them), the module comes out of the one for
this Python, this torch and these sources. Else it is built, which needs Linux, a C++20 compiler with OpenMP, CMake,
Ninja, and torch in this very Python: the module is bound to the torch it is built with. Whatever is missing is named,
all of it at once, with the way to get it.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
GLUE = ROOT / "python_glue"
PRESET = "release"
BUILD_DIR = ROOT / "build" / PRESET
STAMP = BUILD_DIR / ".asdm-configured"
MIN_CMAKE = (3, 25)
MIN_TORCH = (2, 11)
CPP_PROBE = "#include <concepts>\n#include <source_location>\n#include <omp.h>\nint main() { return 0; }\n"


def version_tuple(text):
    """The leading numbers of a version: '2.13.0+cpu' gives (2, 13)."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def find_compiler():
    """The C++ compiler CMake would take: $CXX, else the usual names."""
    wanted = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    return next((found for name in wanted if (found := shutil.which(name))), None)


def compiler_fault():
    compiler = find_compiler()
    if compiler is None:
        return "a C++20 compiler: Debian/Ubuntu 'apt-get install build-essential'"
    probe = subprocess.run(
        [compiler, "-std=c++20", "-fopenmp", "-x", "c++", "-fsyntax-only", "-"], input=CPP_PROBE, text=True,
        capture_output=True,
    )
    if probe.returncode == 0:
        return None
    return (f"a compiler that knows C++20 and OpenMP (GCC 11, Clang 14 with libomp-dev, or newer): {compiler} does "
            "not; name another with CXX=...")


def cmake_fault():
    wanted = ".".join(map(str, MIN_CMAKE))
    cmake = shutil.which("cmake")
    if cmake is None:
        return f"CMake {wanted} or newer: '{sys.executable} -m pip install cmake'"
    found = subprocess.run([cmake, "--version"], capture_output=True, text=True).stdout.split()[2]
    if version_tuple(found) < MIN_CMAKE:
        return f"CMake {wanted} or newer, found {found} at {cmake}: '{sys.executable} -m pip install cmake'"
    return None


def ninja_fault():
    return None if shutil.which("ninja") else f"Ninja: '{sys.executable} -m pip install ninja'"


def torch_fault():
    wanted = ".".join(map(str, MIN_TORCH))
    try:
        found = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return f"torch {wanted} or newer in {sys.executable}; if ComfyUI has another Python, call install.py with it"
    if version_tuple(found) < MIN_TORCH:
        return f"torch {wanted} or newer, found {found} in {sys.executable}"
    return None


def header_fault():
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if header.is_file():
        return None
    return f"the Python headers ({header}): Debian/Ubuntu 'apt-get install python3-dev'"


def system_fault():
    if sys.platform == "linux":
        return None
    return f"Linux, found {sys.platform}: the core is written for it alone; on Windows, ComfyUI in WSL 2 is Linux"


def find_faults():
    """What the build needs and this machine lacks, one line each."""
    if fault := system_fault():
        return [fault]  # nothing else would help
    checks = (compiler_fault, cmake_fault, ninja_fault, torch_fault, header_fault)
    return [fault for check in checks if (fault := check())]


def configuration():
    """Changes when the build folder must be configured from scratch: another Python, another torch, other presets."""
    parts = [sys.executable, sys.version, importlib.metadata.version("torch"), str(ROOT)]
    parts.append((ROOT / "CMakePresets.json").read_text())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def build():
    mark = configuration()
    if not (STAMP.is_file() and STAMP.read_text() == mark and (BUILD_DIR / "build.ninja").is_file()):
        configure = ["cmake", "--preset", PRESET, f"-DPython_EXECUTABLE={sys.executable}"]
        if (BUILD_DIR / "CMakeCache.txt").is_file():
            configure.append("--fresh")  # the old cache remembers the other Python's torch
        subprocess.run(configure, cwd=ROOT, check=True)
        STAMP.write_text(mark)
    subprocess.run(["cmake", "--build", "--preset", PRESET], cwd=ROOT, check=True)


def wanted_wheel():
    """The requirement of the wheel for this torch: 'comfyui-asdm==0.1.0+torch2.13.0'."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1]
    torch = re.match(r"[\d.]+", importlib.metadata.version("torch"))[0]
    return f"comfyui-asdm=={version}+torch{torch}"


def sources_here():
    """The digest of the C++ sources, as the build leaves it beside the module."""
    spec = importlib.util.spec_from_file_location("source_digest", GLUE / "source_digest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.source_digest(ROOT)


def unpack(wheel):
    """Puts the module of a wheel, and what describes it, into python_glue/. Why it does not fit; None where it does."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.match(r"[^/]+/python_glue/(_native\.|build_info)", name)]
        described = [name for name in names if name.endswith("build_info.json")]
        if len(names) < 2 or not described:
            return f"{wheel.name} has no native module"
        if json.loads(archive.read(described[0]))["sources"] != sources_here():
            return f"{wheel.name} was built from other sources than those of this pack"
        for name in names:
            (GLUE / Path(name).name).write_bytes(archive.read(name))
    return None


def take_wheel(place):
    """Takes the module out of the fitting wheel in `place`, a folder or an address. Why not; None where it did."""
    if torch_fault():
        return torch_fault()
    wanted = wanted_wheel()
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-index", "--only-binary", ":all:",
             "--find-links", place, "--dest", folder, wanted], capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if got.returncode != 0 or not wheels:
            return f"no wheel {wanted} for this Python in {place}"
        return unpack(wheels[0])


def main():
    if place := os.environ.get("ASDM_WHEELS"):
        fault = take_wheel(place)
        if fault is None:
            print(f"ComfyUI-ASDM: the native module came out of {wanted_wheel()}. Restart ComfyUI to load it.")
            return 0
        print(f"ComfyUI-ASDM: {fault}; building it.")
    # pip puts cmake and ninja here, and nothing says that this folder is on PATH.
    os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")
    faults = find_faults()
    if faults:
        print("ComfyUI-ASDM cannot build its native module. Missing:", file=sys.stderr)
        for fault in faults:
            print(f"  - {fault}", file=sys.stderr)
        return 1
    try:
        build()
    except subprocess.CalledProcessError as error:
        print(f"ComfyUI-ASDM: '{' '.join(error.cmd)}' failed; its output above says why.", file=sys.stderr)
        return 1
    print("ComfyUI-ASDM: the native module is built. Restart ComfyUI to load it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
