"""ComfyUI-ASDM: faster Stable Diffusion UNets. ComfyUI loads this file by its path."""

from .python_glue.nodes.schema_nodes import comfy_entrypoint

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
