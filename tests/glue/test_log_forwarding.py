"""What the C++ core logs arrives in Python's logging, as the host's own messages do."""

import logging
import re
import sys

import pytest
import torch
from tiny_unet import TinyUNet


@pytest.fixture(scope="module")
def tiny(native):
    return TinyUNet(native)


def warn(tiny, side: int):
    """A control residual that fits nowhere: the core leaves it out and says so, once of each shape in a process, from a
    call that holds no GIL."""
    tiny.forward(control={"input": [torch.ones(1, 32, side, side)]})


def test_a_message_of_the_core_is_a_record_of_the_packs_logger(tiny, caplog):
    with caplog.at_level(logging.WARNING, logger="asdm"):
        warn(tiny, 3)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asdm", logging.WARNING)
    assert record.getMessage() == (
        "control residual [1, 32, 3, 3] does not fit [1, 32, 8, 8] and is left out, as in the host"
    )


def test_the_level_is_the_hosts_to_set(tiny, caplog):
    with caplog.at_level(logging.ERROR, logger="asdm"):
        warn(tiny, 5)
    assert not caplog.records


def test_calls_tell_their_time_to_whoever_debugs_and_to_nobody_else(native, tiny, caplog):
    for level, said in ((logging.DEBUG, 1), (logging.INFO, 0)):
        caplog.clear()
        native.set_log_level(level)
        with caplog.at_level(logging.DEBUG, logger="asdm"):
            tiny.forward()
        assert len(caplog.records) == said
    native.set_log_level(logging.DEBUG)
    with caplog.at_level(logging.DEBUG, logger="asdm"):
        tiny.forward()
    native.set_log_level(logging.INFO)
    assert re.fullmatch(r"forward \[1, 4, 8, 8\] Float: [0-9.]+ ms, [1-9][0-9]* nodes computed, 0 inherited",
                        caplog.records[-1].getMessage())


def test_the_pack_adds_no_handler_of_its_own_and_writes_nothing_past_it(tiny, caplog, capfd):
    warn(tiny, 6)
    assert logging.getLogger("asdm").handlers == []
    assert len(caplog.records) == 1
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_handler_that_raises_does_not_end_the_call(tiny, monkeypatch, capfd):
    class Raises(logging.Handler):
        def emit(self, record):
            raise ValueError(record.getMessage())

    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda caught: unraisable.append(str(caught.exc_value)))
    handler = Raises()
    logger = logging.getLogger("asdm")
    logger.addHandler(handler)
    try:
        warn(tiny, 7)
    finally:
        logger.removeHandler(handler)
    (message,) = unraisable
    assert message.startswith("control residual [1, 32, ")
    assert capfd.readouterr().err == ""
