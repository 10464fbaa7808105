"""Pictures that nodes show, and how far pictures are from each other. Knows no ComfyUI: a picture is a float32 tensor
[1, height, width, 3] of values 0..1, as the host's IMAGE is."""
