"""Forward hooks on a convolution, a norm and a linear."""


class Change:
    """MODEL -> MODEL"""

    FUNCTION = "change"
    RETURN_TYPES = ("MODEL",)
    CATEGORY = "hosts to come"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def change(self, model):
        changed = model.clone()
        unet = changed.model.diffusion_model
        unet.input_blocks[1][0].in_layers[2].register_forward_hook(lambda part, given, out: out * 1.3)
        unet.middle_block[1].norm.register_forward_pre_hook(lambda part, given: (given[0] + 0.2,))
        unet.output_blocks[5][1].transformer_blocks[0].attn1.to_v.register_forward_hook(
            lambda part, given, out: out.view(out.shape[0], -1).view(out.shape) * 1.1)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_forward_hook": Change}
