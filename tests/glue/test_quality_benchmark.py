"""The pure parts of the benchmark `quality`, and its first-block cache against the host's own modules."""

import sys

import pytest
import torch
from repository import REPO

sys.path.append(str(REPO / "tests" / "benchmarks"))
from support import frontier, peer_rules, quality_gains  # noqa: E402
from support.frontier import Point  # noqa: E402
from support.peer_rules import FirstBlockRule, SpectrumRule  # noqa: E402
from support.quality_cells import Cells, Key  # noqa: E402
from support.quality_settings import SETTINGS  # noqa: E402
from support.sada_rule import SadaRule  # noqa: E402

POINTS = [Point(2.0, 40.0), Point(1.5, 39.0), Point(3.0, 30.0), Point(2.5, 29.0), Point(1.2, 50.0)]


def test_the_frontier_leaves_out_what_another_setting_beats():
    assert frontier.frontier(POINTS) == [Point(1.2, 50.0), Point(2.0, 40.0), Point(3.0, 30.0)]
    assert frontier.frontier([Point(2.0, 40.0), Point(2.0, 41.0)]) == [Point(2.0, 41.0)]
    assert frontier.frontier([]) == []


@pytest.mark.parametrize(("speed", "psnr"), [
    (1.0, 50.0), (1.2, 50.0), (1.6, 45.0), (2.0, 40.0), (2.25, 37.5), (3.0, 30.0), (3.01, None)])
def test_psnr_at_a_speed_lies_on_the_frontier(speed, psnr):
    assert frontier.psnr_at(POINTS, speed) == (psnr if psnr is None else pytest.approx(psnr))


def test_the_gain_is_over_the_best_peer_that_gets_there():
    peers = {"slow": [Point(1.4, 60.0)], "far": POINTS, "near": [Point(1.0, 46.0), Point(3.0, 36.0)]}
    ours = [Point(1.0, 52.0), Point(2.5, 43.0)]
    gain = frontier.gain_at(ours, peers, 2.0)
    assert (gain.best_peer, gain.ours, gain.db) == ("near", pytest.approx(46.0), pytest.approx(5.0))
    assert frontier.gain_at(ours, peers, 1.2).best_peer == "slow"
    assert frontier.gain_at(ours, peers, 2.6) is None
    assert frontier.gain_at(ours, {"slow": peers["slow"]}, 2.0) is None


def cells_of(condition, points):
    return [{"condition": condition, "method": method, "label": str(number), "speedup": speed, "psnr": psnr}
            for number, (method, speed, psnr) in enumerate(points)]


def test_the_verdict_is_the_mean_over_conditions_and_needs_all_of_them():
    good = cells_of("a", [("ours", 1.5, 50.0), ("ours", 3.0, 41.0), ("peer", 1.5, 45.0), ("peer", 3.0, 36.0)])
    better = cells_of("b", [("ours", 1.5, 53.0), ("ours", 3.0, 44.0), ("peer", 1.5, 45.0), ("peer", 3.0, 36.0)])
    found = quality_gains.verdict(good + better)
    assert found["psnr_gain_db"] == {"1.5": 6.5, "2": 6.5, "3": 6.5}
    assert found["enough"]
    assert found["worst_psnr_gain_db"] == {"1.5": 5.0, "2": 5.0, "3": 5.0}
    unreached = quality_gains.verdict(good + cells_of("c", [("ours", 2.0, 50.0), ("peer", 3.0, 40.0)]))
    assert unreached["psnr_gain_db"]["2"] is not None
    assert unreached["psnr_gain_db"]["3"] is None
    assert not unreached["enough"]
    close = cells_of("a", [("ours", 1.5, 50.0), ("ours", 3.0, 41.0), ("peer", 1.5, 48.0), ("peer", 3.0, 38.9)])
    assert not quality_gains.verdict(close)["enough"]
    assert not quality_gains.verdict([])["enough"]


def test_deepcache_places_its_full_steps_as_published():
    assert peer_rules.deepcache_full_steps(50, 10, 15) == [0, 5, 9, 13, 17, 21, 26, 31, 37, 43]
    assert peer_rules.deepcache_full_steps(20, 7, peer_rules.deepcache_centre(20)) == [0, 3, 5, 7, 10, 13, 16]
    with pytest.raises(ValueError, match="30 of 20"):
        peer_rules.deepcache_full_steps(20, 30, 6)


def test_first_block_cache_compares_with_the_last_computed_call():
    rule = FirstBlockRule(threshold=0.1)
    residuals = [1.0, 1.05, 1.09, 1.2, 1.1, -1.2]
    assert [rule.skips(torch.full((2, 3), value)) for value in residuals] == [False, True, True, False, True, False]
    assert not rule.skips(torch.full((1, 3), -1.2))  # another batch
    rule.reset()
    assert not rule.skips(torch.full((1, 3), -1.2))


def test_spectrum_skips_in_windows_that_grow():
    rule = SpectrumRule()
    rule.reset(20)
    skipped = []
    for evaluation in range(20):
        if rule.skips():
            skipped.append(evaluation)
            rule.forecast()
        else:
            rule.computed(torch.zeros(1))
    # The window is 2, 2.5, 3, 3.5 and 4; four evaluations of warm-up, and none is skipped from 90 % on.
    assert skipped == [4, 6, 8, 9, 11, 12, 14, 15, 16]


def walked(rule, steps, latent_of, denoised_of=lambda evaluation: 0.0):
    """{skipped evaluation: what stood in} of a run at sigma 1, on latents and denoised latents of one number."""
    rule.reset(steps)
    found = {}
    for evaluation in range(steps):
        at = torch.tensor([float(latent_of(evaluation))])
        value = rule.stand_in(at, 1.0)
        if value is not None:
            found[evaluation] = float(value)
        denoised = torch.tensor([float(denoised_of(evaluation))]) if value is None else value
        rule.evaluated(at, 1.0, denoised, beta=0.01, skipped=value is not None)
    return found


def test_sada_skips_while_the_run_is_stable():
    """A latent of zeros bends nowhere: all is skipped from the fifth evaluation of 20 on, four at most in a row."""
    still = walked(SadaRule(lagrange=False), 20, lambda evaluation: 0.0)
    assert list(still) == [5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18]
    # Where a latent runs away from what is expected, the way that its derivatives bend, nothing is.
    assert walked(SadaRule(lagrange=False), 20, lambda evaluation: -(evaluation ** 3.0)) == {}


def test_sada_follows_denoised_latents_along_a_polynomial():
    """Through evaluations 1, 5, 9 and 13 of 20, of which three behind the eighth are skipped and one computed."""
    found = walked(SadaRule(), 20, lambda evaluation: -(evaluation ** 3.0), lambda evaluation: evaluation + 1.0)
    assert list(found) == [10, 11, 12, 14, 15, 16, 18, 19]
    assert list(found.values()) == pytest.approx([evaluation + 1.0 for evaluation in found])


def test_spectrum_forecasts_by_a_ridge_fit_and_half_a_difference():
    assert peer_rules.chebyshev_weights([0.0, 1.0], 2.0, degree=1, ridge=0.0) == pytest.approx([-1.0, 2.0])
    assert peer_rules.chebyshev_weights([0.3], 0.7, degree=0, ridge=1.0) == pytest.approx([0.5])
    # T_2 = 2 x^2 - 1 goes through three points exactly: x^2 at 3 is 9.
    weights = peer_rules.chebyshev_weights([0.0, 1.0, 2.0], 3.0, degree=2, ridge=0.0)
    assert sum(weight * value for weight, value in zip(weights, [0.0, 1.0, 4.0], strict=True)) == pytest.approx(9.0)
    rule = SpectrumRule(blend=0.0)
    rule.reset(20)
    for value in (0.0, 2.0, 3.0, 5.0):
        rule.computed(torch.tensor([value]))
    assert rule.skips()
    assert rule.forecast().item() == pytest.approx(6.0)


def row(native_s, seconds, psnr, ssim, device="CPU"):
    return {"device": device, "native_s": native_s, "seconds": seconds, "psnr": psnr, "ssim": ssim}


def test_a_cell_is_complete_with_its_last_batch_and_belongs_to_its_inputs(tmp_path):
    key = Key("euler-20-text", "ours", "cut", '{"interval": 3}', "4 prompts")
    other = Key("euler-20-text", "ours", "cut", '{"interval": 2}', "4 prompts")
    folder, rows = tmp_path / "cells", tmp_path / "rows.jsonl"
    Cells(folder, rows).add(key, 0, row(4.0, 2.0, [30.0, 40.0], [0.5, 1.0]))
    cells = Cells(folder, rows)  # as after an interruption
    cells.settle(key, 3)
    assert cells.has(key, 0)
    assert not cells.has(key, 1)
    assert not cells.has(other, 0)
    assert not folder.exists()
    cells.add(key, 1, row(4.0, 1.0, [50.0], [1.0]))
    cells.add(key, 2, row(None, 9.0, [40.0], [0.5], device="GPU"))
    cells.settle(key, 3)
    cell = Cells(folder, rows).complete[key]
    assert (cell["speedup"], cell["psnr"], cell["ssim"], cell["count"]) == (3.0, 40.0, 0.75, 4)
    assert (cell["timed_on"], cell["pictures_by_device"]) == ("CPU", {"CPU": 3, "GPU": 1})
    for batch in range(3):
        cells.add(other, batch, row(1.0, 1.0, [9.0], [0.1]))
    cells.settle(other, 3)
    assert set(Cells(folder, rows).complete) == {other}  # one cell a setting
    assert not Cells(folder, rows, afresh=True).has(other, 0)


def test_a_speedup_is_that_of_one_device(tmp_path):
    key = Key("euler-20-text", "ours", "cut", "{}", "4 prompts")
    cells = Cells(tmp_path / "cells", tmp_path / "rows.jsonl")
    assert not cells.has(key, 0, "CPU")
    for batch, device in enumerate(("CPU", "GPU")):
        cells.add(key, batch, row(4.0, 2.0, [30.0], [0.5], device))
    cells.settle(key, 2)
    assert key not in cells.complete
    assert [cells.has(key, 0, "CPU"), cells.has(key, 1, "CPU"), cells.has(key, 1)] == [True, False, True]
    assert [one["device"] for one in cells.timed_rows(key, range(3), "CPU")] == ["CPU"]
    cells.add(key, 1, row(4.0, 2.0, [40.0], [0.5], "CPU"))  # measured anew
    cells.settle(key, 2)
    assert cells.complete[key]["psnr"] == 35.0


def test_settings_have_labels_of_their_own_and_ours_have_reasons():
    names = [(setting.method, setting.label) for setting in SETTINGS]
    assert len(set(names)) == len(names)
    assert all(setting.reason for setting in SETTINGS if setting.method == "ours")


def host_values(diffusion_model, call):
    """Outputs of the first block and of the last one in the host's own forward."""
    # The host calls the layers of a block itself, so the last layer's output is the block's.
    layers = {"first": diffusion_model.input_blocks[1][-1], "last": diffusion_model.output_blocks[-1][-1]}
    values = {}
    handles = [layer.register_forward_hook(lambda *args, name=name: values.update({name: args[2].clone()}))
               for name, layer in layers.items()]
    call(type(diffusion_model)._forward.__get__(diffusion_model))
    for handle in handles:
        handle.remove()
    return values


def test_a_skipped_call_adds_the_rest_of_the_last_computed_one(hosted):
    from support import calls, models
    from support.peer_caches import first_block_cache_of, with_first_block_cache
    pack, patcher = hosted.pack, hosted.exact()
    diffusion_model = patcher.model.diffusion_model
    inputs = models.random_inputs(patcher)

    def call(forward, scale=1.0):
        with torch.inference_mode():
            return forward(inputs["x"] * scale, inputs["timesteps"], context=inputs["context"], transformer_options={})

    def called(model, scale=1.0, sigma=5.0):
        return calls.forward(model, inputs | {"x": inputs["x"] * scale}, run_options={"sigmas": torch.tensor([sigma])})

    host = type(diffusion_model)._forward.__get__(diffusion_model)
    cached = with_first_block_cache(pack, patcher, threshold=1e9)
    full = host_values(diffusion_model, call)
    later = host_values(diffusion_model, lambda forward: call(forward, 0.9))
    torch.testing.assert_close(called(cached), call(host), rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        expected = diffusion_model.out(later["first"] + full["last"] - full["first"])
    torch.testing.assert_close(called(cached, 0.9, sigma=4.0), expected, rtol=1e-4, atol=1e-4)
    assert 0.5 < first_block_cache_of(cached).share < 0.6  # of two calls one, and the first block of the other
    # A higher sigma begins another run, which computes first.
    torch.testing.assert_close(called(cached, 0.9), called(patcher, 0.9), rtol=0, atol=0)
    assert first_block_cache_of(cached).share == 1.0
