"""Seconds on a CPU and, with events that stand for those of a GPU, where calls return before their work is done."""

import time

import pytest
import torch


def test_a_cpu_goes_by_the_clock(glue):
    span = glue("span")
    started = span.moment(torch.device("cpu"))
    time.sleep(0.02)
    part = span.Span(started, span.moment(torch.device("cpu")))
    time.sleep(0.01)
    whole = span.Span(started, span.moment(torch.device("cpu")), without=part)
    assert 0.02 <= part.seconds < 0.2
    assert 0.01 <= whole.seconds < 0.1


def test_a_gpu_goes_by_its_events_and_waits_only_when_it_is_asked(glue, monkeypatch):
    span, made = glue("span"), []

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
    device = torch.device("cuda")
    taken = span.Span(span.moment(device), span.moment(device))
    assert not any(event.reached for event in made)
    assert taken.seconds == pytest.approx(0.04)
