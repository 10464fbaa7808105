"""When the native module is refused, and in what words."""

import importlib
import json

import pytest

BUILT = {"torch": "2.13.0", "python": "3.11", "version": "0.1.0", "sources": "5eed"}


@pytest.mark.parametrize(
    ("built", "torch_version", "python_version", "fault"),
    [
        (BUILT, "2.13.0", "3.11.2", None),
        (BUILT, "2.13.0+cpu", "3.11.13", None),
        (BUILT, "2.13.0+cu130", "3.11.2", None),
        (BUILT, "2.13.1", "3.11.2", "was built for torch 2.13.0, but this is torch 2.13.1"),
        (BUILT, "2.12.0+cpu", "3.11.2", "was built for torch 2.13.0, but this is torch 2.12.0+cpu"),
        (BUILT, "2.13.0", "3.12.1", "was built for Python 3.11, but this is Python 3.12.1"),
        (BUILT | {"sources": "01d"}, "2.13.0", "3.11.2", "from other sources than those of this pack"),
        ({"torch": "2.13.0", "python": "3.11"}, "2.13.0", "3.11.2", "from other sources than those of this pack"),
        (None, "2.13.0", "3.11.2", "the native module is not built"),
    ],
)
def test_build_fault(glue, built, torch_version, python_version, fault):
    got = glue("native").build_fault(built, torch_version, python_version, "5eed")
    if fault is None:
        assert got is None
    else:
        assert fault in got


def test_the_digest_follows_the_sources(glue, tmp_path):
    digest = glue("source_digest").source_digest
    assert digest() == digest() is not None
    assert digest(tmp_path) is None
    for room in ("native", "nodes", "python_glue"):
        (tmp_path / room).mkdir()
    seen = {digest(tmp_path)}
    for name, text in (("a.cpp", "int a;"), ("a.cpp", "int b;"), ("b.h", "int b;"), ("notes.txt", "")):
        (tmp_path / "nodes" / name).write_text(text)
        seen.add(digest(tmp_path))
    assert len(seen) == 4


def test_a_wheel_brings_no_sources_to_compare_with(glue):
    assert glue("native").build_fault(BUILT, "2.13.0", "3.11.2", None) is None


@pytest.fixture
def loader(glue, monkeypatch, tmp_path):
    """native.py that reads its build info from tmp_path and has loaded nothing yet."""
    module = glue("native")
    module.native_module.cache_clear()
    monkeypatch.setattr(module, "BUILD_INFO", tmp_path / "build_info.json")
    yield module
    module.native_module.cache_clear()


def test_a_module_for_another_torch_is_not_touched(loader, monkeypatch):
    def touched(*_):
        raise AssertionError("the module was imported")

    loader.BUILD_INFO.write_text(json.dumps(BUILT | {"torch": "1.0.0"}), encoding="utf-8")
    monkeypatch.setattr(importlib, "import_module", touched)
    with pytest.raises(RuntimeError, match=r"built for torch 1\.0\.0, but this is torch .*run `python install\.py`"):
        loader.native_module()


def test_a_module_that_does_not_load_names_cause_and_cure(loader, monkeypatch):
    def broken(*_):
        raise ImportError("libsomething.so: cannot open shared object file")

    monkeypatch.setattr(loader, "build_fault", lambda *_: None)
    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match=r"libsomething\.so.*run `python install\.py`"):
        loader.native_module()
