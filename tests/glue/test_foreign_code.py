"""Whose code lies in the place of the host's: what the host imports lies wherever Python finds packages."""

import importlib
import types

import pytest


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A function of a package; `installed` says whether its folder is one that pip installed into."""
    def make(installed: bool):
        folder = tmp_path / ("elsewhere" if installed else "custom_nodes")
        (folder / "asdm_test_library-1.dist-info" if installed else folder).mkdir(parents=True)
        (folder / "asdm_test_library.py").write_text("def repeat(x):\n    return x\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(importlib.sys.modules, "asdm_test_library", raising=False)
        return importlib.import_module("asdm_test_library").repeat
    return make


@pytest.mark.parametrize(("installed", "foreign"), [(True, False), (False, True)])
def test_a_function_of_an_installed_package_is_imported_and_that_of_a_pack_put_there(glue, library, installed, foreign):
    host_code, module = glue("host.host_code"), types.ModuleType("comfy.ldm.modules.diffusionmodules.util")
    assert host_code.is_foreign(module, "repeat", library(installed)) is foreign


def test_what_pythons_own_modules_hold_is_imported(glue):
    from contextlib import contextmanager
    module = types.ModuleType("comfy.ops")
    assert not glue("host.host_code").is_foreign(module, "contextmanager", contextmanager)


def test_a_library_function_under_another_name_was_put_there(glue, library):
    module = types.ModuleType("comfy.ldm.modules.attention")
    assert glue("host.host_code").is_foreign(module, "optimized_attention", library(True))
