"""A pack writes into weights in the middle of a run, in place or by putting another parameter there."""

import torch
from comfy.patcher_extension import WrappersMP


def write(weight, factor):
    weight.data.mul_(factor)


class Writing:
    """Writes before the third evaluation of each run, and takes it back behind the run."""

    def __init__(self):
        self.evaluations = 0

    def __deepcopy__(self, memo):
        return self

    def run(self, executor, *arguments, **named):
        unet = executor.class_obj.model_patcher.model.diffusion_model
        self.written = [layer[1].transformer_blocks[0].attn2.to_k for layer in unet.output_blocks[9:]]
        self.replaced, self.evaluations = unet.output_blocks[10][0].skip_connection, 0
        before = self.replaced.weight
        try:
            return executor(*arguments, **named)
        finally:
            self.replaced.weight = before
            for part in self.written:
                write(part.weight, 0.5)

    def predict(self, executor, *arguments, **named):
        self.evaluations += 1
        if self.evaluations == 3:
            for part in self.written:
                write(part.weight, 2.0)
            weight = self.replaced.weight.detach()
            self.replaced.weight = torch.nn.Parameter(weight * -1.0, requires_grad=False)
        return executor(*arguments, **named)


class Change:
    """MODEL -> MODEL"""

    FUNCTION = "change"
    RETURN_TYPES = ("MODEL",)
    CATEGORY = "hosts to come"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def change(self, model):
        changed, writing = model.clone(), Writing()
        changed.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "another pack", writing.run)
        changed.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "another pack", writing.predict)
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_weights_in_mid_run": Change}
