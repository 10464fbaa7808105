"""The Python of the pack: node classes made from the C++ schemas, ComfyUI as the nodes' host, and training."""
