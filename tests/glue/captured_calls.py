"""Calls of a tiny UNet through the graphs of a run, captured without a GPU."""

import torch
from tiny_unet import TinyUNet

SIGMAS = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]


class Repeater:
    """Does work again on the memory of its first time, which it leaves without values, as a capture does."""

    def __init__(self):
        self.captures = 0
        self.taken = 0

    def __call__(self, work):
        self.captures += 1
        given = work()
        output, kept, _ = given
        for tensor in (output, *kept.values()):
            tensor.fill_(float("nan"))

        def replay():
            output_again, kept_again, _ = work()
            output.copy_(output_again)
            for node, value in kept_again.items():
                kept[node].copy_(value)

        return given, replay


class Refuser:
    """A device that cannot capture."""

    def __init__(self, error):
        self._error = error
        self.tries = self.taken = 0

    def __call__(self, work):
        self.tries += 1
        raise self._error


class Places:
    """The weights of a tiny UNet, which lie at `places`."""

    def __init__(self, places):
        self._places = places

    def places(self):
        return self._places


def sample(native, forward, tiny, roles=((1, 0),), **settings):
    """Outputs of an inheriting run whose calls are `forward(inputs, features)`, and the run's record. `roles`: cond (0)
    and uncond (1) as they come in one evaluation after the other, over and over."""
    run = native.Run(tiny.settings(settings), SIGMAS, tiny.unet)
    outputs = []
    for index, sigma in enumerate(SIGMAS[:-1]):
        run.begin_evaluation(sigma)
        inputs = tiny.inputs(batch=2, seed=index)
        order = list(roles[index % len(roles)])
        features = run.begin_call([("cond", "uncond")[role] for role in order], order, 2)
        outputs.append(forward(inputs, features))
        run.end_call(features, outputs[-1])
    return outputs, run.record


class Calls:
    """Calls of a tiny UNet through the graphs of a run."""

    def __init__(self, graphs_module, native, record, tiny=None):
        self._module = graphs_module
        self.native = native
        self.tiny = tiny or TinyUNet(native)
        self.record = record
        self.kept = graphs_module.KeptGraphs(record)
        self.weights = Places("here")
        self.next_run()

    def next_run(self):
        self.graphs = self._module.RunGraphs(self.kept)

    def __call__(self, room=True, features=None, **inputs):
        features = features or self.native.CallFeatures()
        inputs = self.tiny.inputs(**inputs)
        output = self.graphs.forward(self.tiny.call, inputs, features, self.weights, room=lambda: room)
        assert torch.equal(output, self.tiny.call(inputs))
        return output

    def plain_and_replayed(self, **settings):
        """Outputs and record of the same inheriting run, without graphs and with them; see sample()."""
        def replayed(inputs, features):
            return self.graphs.forward(self.tiny.call, inputs, features, self.weights, room=lambda: True)

        return (*sample(self.native, self.tiny.call, self.tiny, **settings),
                *sample(self.native, replayed, self.tiny, **settings))

    def expect_the_same(self, **settings) -> dict:
        """The run gives and books the same without graphs and with them: what is booked."""
        plain, plain_record, replayed, record = self.plain_and_replayed(**settings)
        assert all(torch.equal(a, b) for a, b in zip(replayed, plain, strict=True))
        assert record == plain_record
        return record

    def move_weights(self, places):
        """The same weights, elsewhere."""
        self.tiny.weights = self.tiny.make_weights()
        self.weights = Places(places)
