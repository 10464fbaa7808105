"""What the host's modules run for the engine: sites around it and inside of it, and what the log says."""

import logging
from types import MethodType

import pytest
import torch
from hosted_model import HostedModel, actions

STEPS = 5


@pytest.fixture
def odd(glue, native):
    """A model of which the host must run in.4.attn, since that has a forward of its own."""
    hosted = HostedModel(glue)
    layer = hosted.patcher.model.diffusion_model.input_blocks[4][1]

    def forward(self, x, context=None, transformer_options=None):
        return type(self).forward(self, x, context, transformer_options) * 1.01

    layer.forward = MethodType(forward, layer)
    return hosted


def test_the_rest_is_the_engines(odd):
    latent, report = odd.sampled(odd.exact(), steps=STEPS)
    assert [place["address"] for place in report["places"]] == ["in.4.attn"]
    assert report["places"][0]["calls"] == STEPS
    assert report["places"][0]["seconds"] > 0
    assert 0.9 < report["native_share"] < 1.0
    expected = odd.sample(odd.patcher, steps=STEPS)
    assert (latent - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("site", ["in.4.attn", "in.4.attn:output", "in.4", "mid"])
def test_what_the_host_runs_is_inherited(odd, site):
    latent, report = odd.sampled(odd.inheriting(sites=site, level="layer", interval=2), steps=STEPS)
    assert report["inherited"] == 2
    assert actions(report, site.partition(":")[0]) == "cicic"
    assert not torch.equal(latent, odd.sample(odd.exact(), steps=STEPS))
    assert torch.equal(latent, odd.sample(odd.following(report["plan"]), steps=STEPS))


def test_a_site_inside_of_it_is_refused_by_name(odd):
    with pytest.raises(ValueError, match=r"in\.4\.attn\.0\.attn1.*name the layer or the block around it"):
        odd.sample(odd.inheriting(sites="in.4.attn.0.attn1", level="unit"), steps=STEPS)


def test_sites_beside_it_are_inherited(odd):
    _, report = odd.sampled(odd.inheriting(sites="in.4.attn.0.attn1 in.5.attn.0.attn1", level="unit", interval=2),
                            steps=STEPS)
    assert report["sites"] == ["in.5.attn.0.attn1"]
    assert any("in.4.attn.0.attn1" in note for note in report["notes"])


@pytest.fixture
def said(caplog):
    """The lines that runs leave in the log, with their levels."""
    caplog.set_level(logging.INFO, logger="asdm")

    def lines():
        return [(record.levelno, record.getMessage()) for record in caplog.records
                if record.getMessage().startswith("ASDM: ")]
    return lines


def test_a_run_leaves_one_line(hosted, said):
    hosted.sample(hosted.inheriting(), steps=8)
    ((level, line),) = said()
    assert level == logging.INFO
    assert "x faster" in line
    assert "3 of 8 full" in line


def test_a_run_of_the_engine_alone_leaves_one_too(hosted, said):
    hosted.sample(hosted.exact(), steps=2)
    assert [level for level, _ in said()] == [logging.INFO]


def test_the_line_names_what_the_host_ran(odd, said):
    odd.sample(odd.exact(), steps=2)
    assert "in.4.attn (it has a forward of its own)" in said()[0][1]


def test_it_is_loud_where_nothing_was_inherited(hosted, said):
    hosted.sample(hosted.inheriting(start_percent=0.97), steps=4)
    ((level, line),) = said()
    assert level == logging.WARNING
    assert "nothing was reused in 4 steps: these settings inherit nothing in this run" in line
