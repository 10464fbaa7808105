"""How close two latents are, and how close they must be."""

# fp32 sums in another order drift apart over 20 steps; a wrong layer is off by far more.
MAX_RELATIVE_ERROR = 1e-3


def relative_error(reference, other):
    return ((reference - other).norm() / reference.norm()).item()
