"""Seconds that the model's evaluations take in a sampling run, whatever stands in for the UNet in them."""

import time

import torch


class EvaluationClock:
    """Add it to a MODEL before anything else: the host's first wrapper is the outermost, so that what a method decides,
    forecasts or stores is counted along with the UNet calls that it leaves.

    On a CPU the evaluations are added up. A GPU works behind its launches, and waiting for it at each evaluation would
    slow what is measured: there it is the time from the first evaluation until the run's work is done.
    """

    def __init__(self):
        self._seconds = 0.0
        self._first = None  # time.perf_counter() of the run's first evaluation
        self._synchronize = None  # waits for the GPU

    def add_to(self, model):
        """A clone of `model` whose evaluations, and those of its own clones, this clock adds up."""
        from comfy.patcher_extension import WrappersMP

        def predict_noise(executor, *args, **kwargs):  # a closure, since the host deep-copies the owners of methods
            started = self._begin()
            result = executor(*args, **kwargs)
            self._seconds += time.perf_counter() - started
            return result

        clone = model.clone()
        clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "evaluation_clock", predict_noise)
        self._synchronize = torch.cuda.synchronize if model.load_device.type == "cuda" else None
        return clone

    def _begin(self) -> float:
        if self._first is None and self._synchronize:
            self._synchronize()
        now = time.perf_counter()
        self._first = now if self._first is None else self._first
        return now

    def timed(self, run):
        """What `run()` gives, and the seconds of its evaluations."""
        self._seconds, self._first = 0.0, None
        result = run()
        if self._synchronize and self._first is not None:
            self._synchronize()
            self._seconds = time.perf_counter() - self._first
        return result, self._seconds
