"""The node classes that ComfyUI registers, made from the C++ schemas."""
