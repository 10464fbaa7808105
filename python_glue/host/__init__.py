"""Everything that knows ComfyUI: its nodes, its models, and what runs inside its sampling."""
