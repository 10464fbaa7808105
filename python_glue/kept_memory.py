"""What a run keeps from call to call, in the host's estimates of memory."""

import torch

from .session import Session
from .standing_in import standing_in


def memory_required(session: Session, device: torch.device):
    """The host's estimate of a call's memory on `device`, with what is kept from call to call added, so that it plans
    for it."""
    def with_kept(input_shape, cond_shapes=None):
        base_model = session.base_model()
        cond_shapes = cond_shapes or {}
        own = type(base_model).memory_required(base_model, input_shape, cond_shapes=cond_shapes)
        size = (session.compute_dtype or base_model.manual_cast_dtype or base_model.get_dtype()).itemsize
        return (own + session.cache_bytes(input_shape, size)
                + session.reused_bytes(input_shape, cond_shapes, size, device))
    return with_kept


def kept_memory_counted(session: Session, patcher):
    """For the time of a run: an object patch would come after the estimate by which the host loads the weights."""
    return standing_in(patcher.model, "memory_required", memory_required(session, patcher.load_device))
