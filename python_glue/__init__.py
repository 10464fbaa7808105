"""The Python of the pack: node classes made from the C++ schemas, and ComfyUI as the nodes' host."""

from .schema_nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
