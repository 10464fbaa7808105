"""Pictures that nodes show: what lies where in them, and scores of how far pictures are apart."""

import math

import numpy as np
import pytest
import torch

CHOSEN, THICK = "#cc4026", "#1c4587"  # the colours of what is looked for


@pytest.fixture(scope="module")
def plots(glue):
    return glue("pictures.plots")


@pytest.fixture(scope="module")
def strip(glue):
    return glue("pictures.run_strip")


@pytest.fixture(scope="module")
def scores(glue):
    return glue("pictures.scores")


def places(picture, colour):
    """(rows, columns) of the pixels of a colour, counted from the upper left."""
    assert picture.dtype == torch.float32
    assert picture.ndim == 4
    assert picture.shape[0] == 1
    assert picture.shape[3] == 3
    assert picture.min() >= 0
    assert picture.max() <= 1
    wanted = torch.tensor([int(colour[at:at + 2], 16) for at in (1, 3, 5)]) / 255
    return torch.nonzero(((picture[0] - wanted).abs() < 1e-3).all(-1), as_tuple=True)


def middle(picture, colour):
    rows, columns = places(picture, colour)
    return rows.float().mean().item(), columns.float().mean().item()


def test_a_falling_loss_falls_from_left_to_right(plots):
    rows, columns = places(plots.loss_plot([math.exp(-0.05 * step) for step in range(100)]), THICK)
    first, last = rows[columns == columns.min() + 5].min(), rows[columns == columns.max() - 5].min()
    assert last - first > 150


@pytest.mark.parametrize("losses", [[1.0], [0.0, 0.0], [1.0, math.nan, 2.0], [1e-30, 1e30]])
def test_a_curve_is_drawn_of_any_losses(plots, losses):
    assert len(places(plots.loss_plot(losses), THICK)[0]) > 100


@pytest.mark.parametrize("losses", [[], [math.nan, math.inf]])
def test_without_a_loss_there_is_a_line_of_text(plots, losses):
    assert plots.loss_plot(losses).shape[1] < 60


def test_faster_plans_are_further_right_and_closer_ones_higher(plots):
    slow_row, slow_column = middle(plots.calibration_plot([(1.5, 50.0), (3.0, 30.0)], 0, True, 1.5), CHOSEN)
    fast_row, fast_column = middle(plots.calibration_plot([(1.5, 50.0), (3.0, 30.0)], 1, True, 1.5), CHOSEN)
    assert fast_column > slow_column + 300
    assert fast_row > slow_row + 150


def test_a_single_plan_has_its_plot(plots):
    assert len(places(plots.calibration_plot([(1.0, 100.0)], 0, True, 1.0), CHOSEN)[0]) > 50


def report(actions, sigmas=(14.6, 0.03)):
    return {"found": True, "steps": len(actions), "evaluations": len(actions), "full": 1, "inherited": 1,
            "sigmas": list(sigmas),
            "addresses": [{"address": "out.8", "actions": actions}]}


def test_each_cell_has_the_colour_of_its_action(strip):
    """A colour is in the legend where the run has it; the row adds a cell of it for each evaluation."""
    picture, box, cell = strip.run_strip(report("cciif-h")), strip.BOX ** 2, (26 - 1) * (20 - 1)
    for letter, cells in {"c": 2, "i": 2, "f": 1, "-": 1, "h": 1}.items():
        assert len(places(picture, strip.ACTIONS[letter][1])[0]) == box + cells * cell
    without = strip.run_strip(report("cc"))
    assert not len(places(without, strip.ACTIONS["f"][1])[0])


def test_the_picture_ends_where_its_grid_ends(strip):
    """So that a node shows it large: nothing lies right of the cells."""
    picture = strip.run_strip(report("cii" * 7))
    assert picture.shape[2] - places(picture, strip.ACTIONS["i"][1])[1].max() < 2 * 12 + 3


def test_neighbours_that_did_the_same_share_a_row(strip):
    alike = report("cii") | {"addresses": [{"address": f"in.{number}", "actions": "cii"} for number in range(12)]}
    assert strip.run_strip(alike).shape == strip.run_strip(report("cii") | {"addresses": [
        {"address": "in.0 to in.11", "actions": "cii"}]}).shape
    other = alike | {"addresses": [*alike["addresses"], {"address": "in.12", "actions": "cci"}]}
    assert strip.run_strip(other).shape[1] == strip.run_strip(alike).shape[1] + strip.ROW_HEIGHT


def test_parts_are_those_that_users_know(strip):
    named = {"in.0": "encoder", "in.4.attn": "encoder", "mid": "middle", "mid.attn.0.ff": "middle", "out.8": "decoder",
             "out": "whole UNet", "guidance": "whole UNet", "control": "whole UNet"}
    assert {address: strip.part_of(address) for address in named} == named


def test_cells_are_in_the_order_of_evaluations(strip):
    picture = strip.run_strip(report("ccccccccii"))
    computed, inherited = strip.ACTIONS["c"][1], strip.ACTIONS["i"][1]
    rows, columns = places(picture, computed)
    row = rows.min() + 5  # of the grid, above the legend
    assert columns[rows == row].max() < places(picture, inherited)[1][places(picture, inherited)[0] == row].min()


def test_a_long_run_is_squeezed_and_then_cut(strip):
    few, many, more = (strip.run_strip(report("c" * count)).shape for count in (50, 260, 5000))
    assert many[2] - few[2] < 400
    assert more[2] <= many[2] + 100
    assert few[1] == more[1]


def test_without_a_run_there_is_a_line_of_text(strip):
    assert strip.run_strip({"found": False}).shape[1] < 60


def flat(batch, height, width, value):
    return torch.full((batch, height, width, 3), value)


def test_flat_pictures_have_closed_forms(scores):
    """MSE 0.36; without variance SSIM is (2ab + C1) / (a^2 + b^2 + C1)."""
    psnr, ssim, _ = scores.compare(flat(2, 11, 11, 0.2), flat(2, 11, 11, 0.8), 10)
    assert psnr == pytest.approx(4.43697, abs=1e-4)
    assert ssim == pytest.approx(0.3201 / 0.6801, abs=1e-6)


def test_the_batch_is_averaged(scores):
    """One equal picture and one off by 0.1: MSE 0.005."""
    image = torch.cat([flat(1, 12, 12, 0.5), flat(1, 12, 12, 0.6)])
    psnr, ssim, _ = scores.compare(flat(2, 12, 12, 0.5), image, 10)
    assert psnr == pytest.approx(-10 * math.log10(0.005), abs=1e-4)
    assert ssim == pytest.approx((1 + (2 * 0.5 * 0.6 + 1e-4) / (0.25 + 0.36 + 1e-4)) / 2, abs=1e-6)


def ssim_by_places(one, other):
    """Every place of the window by itself, in numpy."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for a, b in zip(one.double().numpy(), other.double().numpy(), strict=True):
        for channel in range(a.shape[-1]):
            for row in range(a.shape[0] - 10):
                for column in range(a.shape[1] - 10):
                    x, y = (side[row:row + 11, column:column + 11, channel] for side in (a, b))
                    mx, my = (window * x).sum(), (window * y).sum()
                    vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                    both = (window * (x - mx) * (y - my)).sum()
                    found.append((2 * mx * my + 1e-4) * (2 * both + 9e-4)
                                 / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    return float(np.mean(found))


@pytest.mark.parametrize("channels", [3, 4])
def test_ssim_agrees_with_the_window_at_every_place(scores, channels):
    generator = torch.Generator().manual_seed(0)
    one = torch.rand(2, 14, 19, channels, generator=generator)
    other = (one + 0.1 * torch.randn(one.shape, generator=generator)).clamp(0, 1)
    psnr, ssim, _ = scores.compare(one, other, 10)
    assert ssim == pytest.approx(ssim_by_places(one, other), abs=1e-9)
    assert psnr == pytest.approx(-10 * math.log10(((one - other).double() ** 2).mean().item()), abs=1e-9)


def test_equal_and_small_pictures(scores):
    image = torch.rand(1, 16, 12, 3)
    psnr, ssim, difference = scores.compare(image, image.clone().requires_grad_(), 10)
    assert (psnr, ssim) == (math.inf, pytest.approx(1.0))
    assert not difference.any()
    assert not difference.requires_grad
    assert scores.compare(flat(1, 10, 64, 0.0), flat(1, 10, 64, 0.1), 10)[1] is None


def test_the_difference_is_amplified_and_clamped(scores):
    image = flat(1, 11, 11, 0.5)
    image[0, 0, 0] = torch.tensor([0.55, 0.0, 0.5])
    difference = scores.compare(flat(1, 11, 11, 0.5), image, 10)[2]
    assert difference[0, 0, 0].tolist() == pytest.approx([0.5, 1.0, 0.0], abs=1e-5)


@pytest.mark.parametrize(("reference", "image", "message"), [
    (flat(1, 16, 12, 0), flat(2, 16, 12, 0), r"image: expected a batch of 1 with 12 x 16 pixels of 3 channels, as the "
                                             r"reference has, got a batch of 2 with 12 x 16"),
    (flat(1, 0, 0, 0), flat(1, 0, 0, 0), "reference: expected at least one pixel"),
    (flat(1, 16, 12, 0), torch.zeros(16, 12, 3), r"image: expected an IMAGE as tensor .* got a tensor \[16, 12, 3\]"),
    ("a text", flat(1, 16, 12, 0), "reference: expected an IMAGE as tensor .* got an object of type str"),
])
def test_pictures_that_cannot_be_compared_are_refused(scores, reference, image, message):
    with pytest.raises(ValueError, match=f"ASDMCompareImages.{message}"):
        scores.compare(reference, image, 10)
