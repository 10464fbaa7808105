"""What a run keeps from call to call, in the host's estimates of memory."""

import torch

from .hosted_unet import hosted_unet
from .settings import EngineSettings
from .standing_in import standing_in


def element_size(settings: EngineSettings, base_model) -> int:
    """Bytes of a number of the features."""
    return (settings.compute_dtype or base_model.manual_cast_dtype or base_model.get_dtype()).itemsize


def memory_required(settings: EngineSettings, base_model, device: torch.device, declare=lambda kept: kept):
    """The host's estimate of a call's memory on `device`, with what is kept from call to call added, so that it plans
    for it. `declare`: tells a run the bytes that features of that call take, and gives those of all calls."""
    hosted = hosted_unet(base_model)

    def with_kept(input_shape, cond_shapes=None, **more):
        cond_shapes = cond_shapes or {}
        own = type(base_model).memory_required(base_model, input_shape, cond_shapes=cond_shapes, **more)
        size = element_size(settings, base_model)
        return (own + declare(hosted.kept_bytes(settings, input_shape, size, device))
                + hosted.prompt_bytes(input_shape, cond_shapes, size, device))
    return with_kept


def kept_memory_counted(run, patcher):
    """For the time of a run: an object patch would come after the estimate by which the host loads the weights."""
    return standing_in(patcher.model, "memory_required",
                       memory_required(run.settings, patcher.model, patcher.load_device, run.declare))
