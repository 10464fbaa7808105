"""What the node classes use of ComfyUI. The only file that imports comfy_api.latest, whose API is not frozen."""

import inspect

import folder_paths
from comfy_api.latest import ComfyExtension, io, ui

__all__ = ["ComfyExtension", "host_list", "io", "known_to_schema", "model_file", "model_files", "ui"]


def known_to_schema(**given) -> dict:
    """Those of the `given` parts of a schema that this host knows: newer ones know more."""
    known = inspect.signature(io.Schema).parameters
    return {name: value for name, value in given.items() if name in known}


def host_list(name: str) -> list[str]:
    """The host's "samplers" or "schedulers"."""
    import comfy.samplers  # with all its models: only where such a list is asked for
    return {"samplers": comfy.samplers.KSampler.SAMPLERS, "schedulers": comfy.samplers.KSampler.SCHEDULERS}[name]


def model_files(folder: str) -> list[str]:
    """File names that the host lists for `folder` ("diffusion_models"), read anew so that new files appear."""
    return folder_paths.get_filename_list(folder)


def model_file(folder: str, name: str) -> str | None:
    """Full path of a model file, None where there is none."""
    return folder_paths.get_full_path(folder, name)
