"""Seconds on a CPU and, with events that stand for those of a GPU, where calls return before their work is done."""

import time

import pytest
import torch


def test_a_cpu_goes_by_the_clock(glue):
    span = glue("host.span")
    started = span.time_stamp(torch.device("cpu"))
    time.sleep(0.02)
    part = span.Span(started, span.time_stamp(torch.device("cpu")))
    time.sleep(0.01)
    whole = span.Span(started, span.time_stamp(torch.device("cpu")), without=part)
    assert part.seconds >= 0.02
    assert whole.seconds == pytest.approx(whole.end - part.end)


def test_a_gpu_goes_by_its_events_and_waits_only_when_it_is_asked(glue, monkeypatch):
    span, made = glue("host.span"), []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            self.reached = False
            made.append(self)

        def record(self, stream):
            self.milliseconds = 40.0 * len(made)

        def synchronize(self):
            self.reached = True

        def elapsed_time(self, end):
            assert end.reached
            return end.milliseconds - self.milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    capturing = False
    device = torch.device("cuda")
    taken = span.Span(span.time_stamp(device), span.time_stamp(device))
    assert not any(event.reached for event in made)
    assert taken.seconds == pytest.approx(0.04)
    capturing = True  # an event of a capture could not be read
    begun = span.time_stamp(device)
    assert span.Span(begun, span.time_stamp(device)).seconds >= 0.0
    assert span.Span(taken.end, begun).seconds == 0.0
    assert len(made) == 2
