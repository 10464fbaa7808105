"""install.py on machines that lack something: everything is named at once, each with the way to get it."""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import stat
import sys
import zipfile

import pytest
from repository import REPO


@pytest.fixture
def install(monkeypatch):
    """install.py as a module; what it changes in the environment is undone."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    spec = importlib.util.spec_from_file_location("asdm_install_under_test", REPO / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes shell scripts of the given text the only programs on PATH; they see nothing else either."""
    shell = shutil.which("sh", path=os.defpath)

    def make(**scripts):
        for name, text in scripts.items():
            script = tmp_path / name
            script.write_text(f"#!{shell}\n{text}\n")
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    return make


def test_all_that_is_missing_is_named_at_once(install, programs, capsys, monkeypatch):
    folder = programs()
    monkeypatch.setattr(install.sysconfig, "get_path", lambda name: str(folder))
    assert install.main() == 1
    message = capsys.readouterr().err
    assert message.startswith("ComfyUI-ASDM cannot build its native module. Missing:\n")
    for cure in ("build-essential", "pip install cmake", "pip install ninja", "python3-dev"):
        assert cure in message
    assert message.count("\n  - ") == 4


def test_what_is_too_old_is_named_with_what_was_found(install, programs, monkeypatch):
    folder = programs(cmake="echo cmake version 3.20.1", ninja="", oldcc="exit 1")
    monkeypatch.setenv("CXX", "oldcc")
    monkeypatch.setattr(install.importlib.metadata, "version", lambda name: "2.4.1+cu121")
    faults = install.find_faults()
    assert [fault for fault in faults if f"CMake 3.25 or newer, found 3.20.1 at {folder / 'cmake'}" in fault]
    assert [fault for fault in faults if f"{folder / 'oldcc'} does not" in fault]
    assert [fault for fault in faults if f"torch 2.11 or newer, found 2.4.1+cu121 in {sys.executable}" in fault]
    assert not [fault for fault in faults if "Ninja" in fault]


def test_a_python_without_torch_is_named(install, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(install.importlib.metadata, "version", missing)
    fault = install.torch_fault()
    assert sys.executable in fault
    assert "if ComfyUI has another Python, call install.py with it" in fault


def test_a_build_that_fails_names_its_command(install, programs, capsys, monkeypatch, tmp_path):
    programs(cmake='case "$1" in --version) echo cmake version 3.31.0;; *) exit 3;; esac')
    monkeypatch.setattr(install, "find_faults", list)
    monkeypatch.setattr(install, "BUILD_DIR", tmp_path / "build")
    monkeypatch.setattr(install, "STAMP", tmp_path / "build" / ".asdm-configured")
    assert install.main() == 1
    assert f"'cmake --preset release -DPython_EXECUTABLE={sys.executable}' failed" in capsys.readouterr().err


@pytest.fixture
def wheel(install, monkeypatch, tmp_path):
    """Writes a wheel of this pack into a folder, of a module that was built from `sources`; gives the folder."""
    install.GLUE = tmp_path / "python_glue"
    install.GLUE.mkdir()
    shutil.copy(REPO / "python_glue" / "source_digest.py", install.GLUE)
    monkeypatch.setenv("PATH", os.defpath)
    name, _, version = install.wanted_wheel().partition("==")
    distribution = f"{name.replace('-', '_')}-{version}"

    def write(sources, tag="py3-none-any", folder="wheels"):
        files = {
            "comfyui_asdm/python_glue/_native.cpython.so": "the module",
            "comfyui_asdm/python_glue/build_info.json": json.dumps({"sources": sources}),
            "comfyui_asdm/web/show_text.js": "",
            f"{distribution}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{distribution}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
            f"{distribution}.dist-info/RECORD": "",
        }
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        with zipfile.ZipFile(place / f"{distribution}-{tag}.whl", "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        monkeypatch.setenv("ASDM_WHEELS", str(place))
    return write


def test_a_wheel_that_fits_is_taken_and_nothing_is_built(install, wheel, monkeypatch, capsys):
    monkeypatch.setattr(install, "build", None)
    wheel(install.sources_here())
    assert install.main() == 0
    assert (install.GLUE / "_native.cpython.so").read_text() == "the module"
    assert sorted(path.name for path in install.GLUE.iterdir()) == [
        "_native.cpython.so", "build_info.json", "source_digest.py"]
    assert "came out of comfyui-asdm==" in capsys.readouterr().out


@pytest.mark.parametrize(("sources", "tag", "said"), [
    ("01d", "py3-none-any", "was built from other sources than those of this pack; building it"),
    ("here", "cp39-cp39-linux_x86_64", "no wheel comfyui-asdm=="),
])
def test_a_wheel_that_does_not_fit_is_left(install, wheel, monkeypatch, capsys, sources, tag, said):
    built = []
    monkeypatch.setattr(install, "find_faults", list)
    monkeypatch.setattr(install, "build", lambda: built.append(True))
    wheel(install.sources_here() if sources == "here" else sources, tag)
    assert install.main() == 0
    assert built
    assert said in capsys.readouterr().out
    assert [path.name for path in install.GLUE.iterdir()] == ["source_digest.py"]
