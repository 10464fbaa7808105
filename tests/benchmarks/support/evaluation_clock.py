"""Seconds that the model's evaluations take in a sampling run, whatever stands in for the UNet in them."""

import time


class EvaluationClock:
    """Add it to a MODEL before anything else: the host's first wrapper is the outermost, so that what a method decides,
    forecasts or stores is counted along with the UNet calls that it leaves."""

    def __init__(self):
        self.seconds = 0.0

    def add_to(self, model):
        """A clone of `model` whose evaluations, and those of its own clones, this clock adds up."""
        from comfy.patcher_extension import WrappersMP

        def predict_noise(executor, *args, **kwargs):  # a closure, since the host deep-copies the owners of methods
            started = time.perf_counter()
            result = executor(*args, **kwargs)
            self.seconds += time.perf_counter() - started
            return result

        clone = model.clone()
        clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "evaluation_clock", predict_noise)
        return clone

    def timed(self, run):
        """What `run()` gives, and the seconds of its evaluations."""
        self.seconds = 0.0
        result = run()
        return result, self.seconds
