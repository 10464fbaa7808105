"""Trains a compressed UNet back to what its teacher does. Needs no ComfyUI; losses and hybrids are the core's
(native/assembly/distillation.h)."""
