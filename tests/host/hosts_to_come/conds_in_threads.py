"""The conds of an evaluation are computed in threads, at once, each in a call of its own."""

from concurrent.futures import ThreadPoolExecutor

import comfy.samplers
import torch

ACTS = False
original = comfy.samplers._calc_cond_batch


def one(model, conds, index, x_in, timestep, model_options):
    alone = [conds[i] if i == index else None for i in range(len(conds))]
    with torch.inference_mode():
        return original(model, alone, x_in, timestep, model_options)[index]


def calc_cond_batch(model, conds, x_in, timestep, model_options):
    if not model_options.get("in_threads"):
        return original(model, conds, x_in, timestep, model_options)
    with ThreadPoolExecutor(len(conds)) as pool:
        work = [pool.submit(one, model, conds, index, x_in, timestep, model_options) for index in range(len(conds))]
        return [found.result() for found in work]


comfy.samplers._calc_cond_batch = calc_cond_batch


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
        changed.model_options["in_threads"] = True
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_conds_in_threads": Change}
