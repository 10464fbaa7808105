"""Where ASDM Save UNet writes, and what it says where it cannot."""

import os
import resource
import signal
import threading

import pytest
from safetensors.torch import load_file


@pytest.fixture
def save(native, hosted, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    return lambda prefix: native.execute("ASDMSaveUNet", hosted.host, {
        "model": hosted.patcher, "filename_prefix": prefix})["outputs"][0]


@pytest.mark.parametrize("prefix", ["", ".", "..", " ", "*", "a/ /b", "a/../b", "a:b", "what?", "a\nb", "tab\t",
                                    "x" * 201, "\u4e2d" * 80, "folder/" + "y" * 300, "nul\0", "half \ud83d",
                                    "/elsewhere/name", "\\elsewhere", "a/" * 2000 + "b"])
def test_prefixes_that_no_file_can_have_are_refused(save, tmp_path, prefix):
    with pytest.raises(ValueError, match=r"^ASDMSaveUNet\.filename_prefix: expected") as refusal:
        save(prefix)
    assert len(str(refusal.value)) < 1000
    assert not any(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("prefix", ["a", "a b", "folder/name", "folder//name", "v1.5", "\u4e2d\u6587", "x" * 200])
def test_others_are_taken(save, tmp_path, prefix):
    path = save(prefix)
    assert path == str(tmp_path / os.path.normpath(prefix)) + "_00001_.safetensors"
    assert load_file(path)


def test_names_are_never_taken_twice(save, tmp_path, monkeypatch):
    """Two hosts that ask for a number at once get the same one."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_save_image_path",
                        lambda prefix, folder: (str(tmp_path), prefix, 1, "", prefix))
    (tmp_path / "two_00002_.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "two_00003_.safetensors").mkdir()
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(save("two"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(paths) == [str(tmp_path / f"two_0000{number}_.safetensors") for number in (1, 4)]
    assert all(load_file(path) for path in paths)
    assert not list(tmp_path.glob("*.unfinished"))


def test_file_systems_without_links(save, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(95, "Operation not supported")))
    first, second = save("linkless"), save("linkless")
    assert first != second
    assert load_file(first).keys() == load_file(second).keys()


def test_a_folder_that_is_a_file(save, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match=r"ASDMSaveUNet\.filename_prefix: expected a place that can be written"):
        save("taken/name")


def test_a_disk_that_is_full(save, tmp_path):
    """A limit on the size of files gives the error that a full disk does."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(OSError, match=r"ASDMSaveUNet\.filename_prefix: expected a place"):
            save("full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(tmp_path.iterdir())
