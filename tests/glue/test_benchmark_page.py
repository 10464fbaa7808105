"""docs/benchmarks.md out of stored results: what is there is shown, what exceeds its limit is marked, what is missing
is named."""

import sys

from repository import REPO

sys.path.append(str(REPO / "tests" / "benchmarks"))
from results import page, plots, stored  # noqa: E402
from results.plan import PLAN  # noqa: E402

MACHINE = {"cpu": "Some CPU", "cores": 2, "memory_bytes": 24 * 2**30, "gpu": None, "torch": "2.13.0",
           "date": "2026-11-23"}


def took(median):
    return {"median_s": median, "min_s": median * 0.9, "max_s": median * 1.1}


def forward_result(native_over_openvino):
    row = {"model": "sd15", "latent": 64, "batch": 2, "dtype": "fp32", "native": took(4.0), "host": took(7.0),
           "openvino": took(4.5), "floor": took(3.7), "native_over_host": 0.57, "native_over_floor": 1.08,
           "native_over_openvino": native_over_openvino, "limits": {"native_over_openvino": 1.0},
           "relative_l2": {"native": 3e-6, "openvino": 2e-6}}
    return {"benchmark": "forward", "holds": True, "rows": [row], "machine": MACHINE}


def profiler_result():
    part = {"seconds": 0.5, "share_of_time": 0.5, "macs": 10**11, "gflops": 400.0, "floor_share": 0.9}
    return {"benchmark": "profiler", "model": "sd15", "dtype": "bf16", "latent": 64, "batch": 2, "machine": MACHINE,
            "kinds": [{"kind": "res", **part}, {"kind": "rest", **part, "macs": 0}],
            "rows": [{"address": "in.1.res", "level": "layer", **part}, {"address": "in.1", "level": "block", **part}]}


def scale_result():
    def at(size):
        figures = {**took(size / 10), "seconds_per_pixel": 1e-4, "peak_rss_bytes": 2**31}
        return {"curve": "latent", "value": size, "latent": size, "batch": 2, "threads": 2, "native": figures,
                "host": figures, "native_over_host": 0.5}
    return {"benchmark": "scale", "model": "sd15", "dtype": "bf16", "machine": MACHINE, "rows": [at(32), at(64)],
            "exponents": {"latent": {"native": 2.0, "host": 2.1, "holds": True}}}


def quality_result():
    gain = {"ours_db": 50.0, "peer_db": 44.5, "best_peer": "DeepCache", "gain_db": 5.5}
    cells = [{"condition": f"euler-20-{task}", "method": method, "label": label, "speedup": speed, "psnr": psnr,
              "ssim": 0.99} for task in ("text", "image") for method, label, speed, psnr in
             (("ours", "cut", 2.0, 50.0), ("DeepCache", "branch 0", 2.0, 44.5), ("DeepCache", "branch 1", 1.5, 55.0))]
    return {"benchmark": "quality", "holds": False, "pictures": "64 prompts", "machine": MACHINE, "cells": cells,
            "psnr_gain_db": {"2": 5.5, "3": None}, "gains": [{"condition": "euler-20-text", "2": gain, "3": None}]}


def assembled_result():
    rows = [{"preset": preset, **took(took_s), "gmacs": 400 / speedup, "speedup": speedup, "arithmetic": speedup + 0.1}
            for preset, took_s, speedup in (("full", 4.0, 1.0), ("s0_s1", 3.2, 1.25))]
    return {"benchmark": "assembled", "model": "sd15", "dtype": "bf16", "latent": 64, "batch": 2, "holds": True,
            "rows": rows, "machine": MACHINE}


def switch_result():
    rows = [{"switch_percent": percent, "psnr": 100.0 - percent, "ssim": 1.0 - percent / 400}
            for percent in (0, 50, 100)]
    return {"benchmark": "switch", "model": "sd15", "dtype": "bf16", "latent": 64, "steps": 20, "early": "bk_tiny",
            "switch_percent": 50.0, "holds": True, "speedup": 1.22, "arithmetic": 1.25, "late": took(60.0),
            "switched": took(49.0), "curve": {"student": "a student", "pictures": 32, "rows": rows}, "machine": MACHINE}


def distilled_result():
    rows = [{"model": "distilled_me_cond_conv", "loss": 0.06, "gap_recovered": 0.95, "psnr_db": 25.0, "ssim": 0.9,
             "speedup": 1.3}]
    return {"benchmark": "distilled", "preset": "s0_s1", "pictures": 64, "steps": 20, "holds": True, "rows": rows,
            "machine": MACHINE}


def load_result():
    return {"benchmark": "load", "model": "sd15", "holds": True, "machine": MACHINE,
            "native": {**took(1.5), "peak_over_weights": 1.01}, "host": {**took(2.5), "peak_over_weights": 2.02}}


def test_smaller_unets_are_shown_alone_in_a_run_and_as_they_load():
    text = page.page({"assembled": assembled_result(), "switch": switch_result(), "load": load_result(),
                      "distilled": distilled_result()})
    assert "| distilled me cond conv | 0.0600 | 95% | 25.00 | 0.9000 | 1.30 |" in text
    assert "| `s0_s1` | 3.2 s (2.88–3.52) | 320 | 1.25 | 1.35 |" in text
    assert "| bf16 | 20 | 60 s (54–66) | 49 s (44.1–53.9) | 1.22 | 1.25 |" in text
    assert "| 50 | 50.00 | 0.8750 |" in text
    assert "32 pictures of the emoji model, its small UNet (a student) first" in text
    assert "| native | 1.5 s (1.35–1.65) | 1.01 |" in text


def test_parts_are_shown_beside_what_they_are_held_against():
    convolutions = [{"channels": channels, "size": size, "cost": cost, "convolution_ms": 80.0}
                    for channels, size, cost in ((320, 64, 0.04), (640, 32, 0.07))]
    calls = [{"latent": 64, "inherits": True, "way": way, "relative_l2": error, "ratio": ratio, **took(1.0)}
             for way, error, ratio in (("anew", 0.0, 1.0), ("prompts", 0.0, 0.99), ("sums", 2e-7, 0.97))]
    text = page.page({
        "me_cond_conv-fp32": {"benchmark": "me_cond_conv", "dtype": "fp32", "batch": 2, "experts": 3, "limit": 0.05,
                              "rows": convolutions, "machine": MACHINE},
        "host_leaf": {"benchmark": "host_leaf", "holds": False, "limit_s": 20e-6, "host_s": 2e-6, "native_s": 25e-6,
                      "over_host_s": 23e-6, "machine": MACHINE},
        "reused-fp32": {"benchmark": "reused", "model": "sd15", "dtype": "fp32", "batch": 2, "rows": calls,
                        "machine": MACHINE}})
    assert "| fp32 | 320 channels, 64x64 | 3 | 80.0 | 4.0% |" in text
    assert "| fp32 | 640 channels, 32x32 | 3 | 80.0 | **7.0%** |" in text
    assert "| fp32 | 64x64 | inherited | sums of held features | 1 s (0.9–1.1) | 0.970 | 2.0e-07 |" in text
    assert "anew |" not in text
    assert "| 2.0 | 25.0 | **23.0** | 20.0 |" in text


def test_the_dial_is_shown_beside_the_best_peer():
    row = {"condition": "heun 12", "speed": "2x", "work": 2.0, "psnr": 59.07, "ssim": 0.99876, "lpips": 0.00121,
           "peers": 58.32, "gain_db": 0.75}
    beyond = row | {"speed": "3x", "peers": None, "gain_db": None}
    text = page.page({"speed": {"benchmark": "speed", "conditions": 1, "left": ["lcm 8"],
                                "rows": [row, beyond], "mean_gain_db": {"2x": 0.75}, "least_gain_db": {"2x": 0.75},
                                "machine": MACHINE}})
    assert "| heun 12 | 2x | 2.00 | 59.1 | 0.9988 | 0.001 | 58.3 | +0.8 |" in text
    assert "| heun 12 | 3x | 2.00 | 59.1 | 0.9988 | 0.001 | – | – |" in text
    assert "| mean, least of 1 | 2x |  |  |  |  |  | +0.8, +0.8 |" in text
    assert "Not yet measured: lcm 8." in text


def test_stacks_are_shown_beside_the_host():
    stacks = [{"name": "engine", "speedup": 1.6} | took(1.0), {"name": "fast", "speedup": 4.5, "psnr": 52.31,
                                                            "ssim": 0.99931} | took(1.0)]
    text = page.page({"stack": {"benchmark": "stack", "dtype": "fp32", "latent": 64, "steps": 20, "pictures": 16,
                                "host": took(1.0), "stacks": stacks, "machine": MACHINE}})
    assert "| the host's UNet | 1 s (0.9–1.1) | 1.00 | – | – |" in text
    assert "| engine | 1 s (0.9–1.1) | 1.60 | – | – |" in text
    assert "| fast | 1 s (0.9–1.1) | 4.50 | 52.3 | 0.9993 |" in text


def test_quality_shows_the_best_peer_and_who_stands_on_the_frontier():
    text = page.page({"quality": quality_result()})
    assert "| euler-20-text | +5.5 (50.0; DeepCache 44.5) | – |" in text
    assert "| **mean** | +5.5 | – |" in text
    assert "| ours | cut | 2.00 | 50.00 | 0.9900 | 2 of 2 |" in text
    assert "| DeepCache | branch 0 | 2.00 | 44.50 | 0.9900 | 0 of 2 |" in text
    assert "Not whole yet" not in text
    assert "**Not whole yet**: 7 cells" in page.page({"quality": quality_result() | {"missing_cells": 7}})


def test_what_was_tried_is_shown_by_its_distance_to_the_frontier():
    def tried_row(label, condition, behind_db, tried=True):
        return {"label": label, "condition": condition, "tried": tried, "speedup": 2.0, "psnr": 50.0 - behind_db,
                "ssim": 0.9, "behind_db": behind_db}
    rows = [tried_row("far", "euler", 9.04), tried_row("near", "euler", 0.0), tried_row("best", "euler", 0.0, False),
            tried_row("far", "dpmpp_2m", 20.0), tried_row("near", "dpmpp_2m", 1.5)]
    text = page.page({"tried": {"benchmark": "tried", "pictures": 32, "rows": rows, "machine": MACHINE}})
    near, far = "| near | 2.00x, 50.0 (on it) | 2.00x, 48.5 (1.5 below) |", "| far | 2.00x, 41.0 (9.0 below) | 2.00x, "
    assert text.index(near) < text.index(far)
    assert "best" not in text


def test_calibrated_plans_are_shown_with_their_gain():
    row = {"model": "emoji", "condition": "euler", "target": "1.5x", "work": 1.502, "psnr": 54.04, "speed_work": 1.5,
           "speed_psnr": 50.0, "gain_db": 4.04, "runs": 6}
    result = {"benchmark": "calibrated", "pictures": 4, "calibrated_on": 2, "mean_gain_db": 3.0,
              "mean_gain_by_model_db": {"emoji": 4.04}, "rows": [row], "machine": MACHINE}
    text = page.page({"calibrated": result | {"effort": "quick"}, "calibrated-normal": result | {"effort": "normal"}})
    assert text.count("| emoji | euler | 1.5x | 1.50x | 54.0 | 1.50x | 50.0 | +4.0 | 6 |") == 2
    assert "with effort normal on 2 pictures, followed on 4 others" in text
    assert "+3.0 dB on the mean (+4.0 dB on the model of emoji)" in text


def test_figures_of_a_gpu_stand_beside_those_of_a_cpu():
    def inheritance_result(device, speedup):
        level = {"speedup": speedup, "predicted_speedup": 1.67}
        return {"benchmark": "inheritance", "device": device, "dtype": "bf16", "steps": 20, "machine": MACHINE | {
            "gpu": "Some GPU"}, "interval_1_bit_for_bit": True, **level, "layer": level}
    results = {"inheritance": inheritance_result("cpu", 1.6) | {"bookkeeping_share": 0.001},
               "inheritance-gpu": inheritance_result("cuda", 1.3)}
    text = page.page(results)
    assert "| block | CPU | bf16 | 20 | 1.60 | 1.67 |" in text
    assert "| layer | Some GPU | bf16 | 20 | 1.30 | 1.67 |" in text
    assert "CPU: interval 1 bit for bit: yes, bookkeeping 0.10% of a forward." in text
    assert "Some GPU: interval 1 bit for bit: yes." in text


def test_a_figure_over_its_limit_is_bold():
    assert "| 0.89 (≤ 1.00) |" in page.page({"forward-sd15-64x64-b2": forward_result(0.89)})
    assert "| **1.20 (≤ 1.00)** |" in page.page({"forward-sd15-64x64-b2": forward_result(1.2)})


def test_what_was_not_measured_is_named_with_its_command():
    text = page.page({"forward-sd15-64x64-b2": forward_result(0.9)})
    left = text.partition("## Not yet measured")[2]
    assert "- bypass: `bash scripts/bench.sh bypass`" in left
    assert "forward-sd15-64x64-b2" not in left
    assert [one.name for one in page.missing({})] == [one.name for one in PLAN]


def test_every_plot_that_the_page_shows_is_drawn_and_always_the_same(tmp_path):
    results = {"forward-sd15-64x64-b2": forward_result(0.9), "profiler-sd15-bf16": profiler_result(),
               "scale": scale_result(), "quality": quality_result(), "switch": switch_result()}
    text = page.page(results)
    drawn = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        plots.draw(results, folder)
        drawn.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert drawn[0] == drawn[1]
    assert all(f"(benchmarks/{name})" in text for name in drawn[0])
    assert len(drawn[0]) == text.count("![")


def test_results_come_back_as_they_were_stored(tmp_path):
    stored.store("scale", scale_result(), tmp_path)
    (tmp_path / "scale").mkdir()
    (tmp_path / "scale" / "a.jsonl").write_text('{"psnr": 1.0}\n{"psnr": 2.0}\n')
    assert stored.load(tmp_path) == {"scale": {**scale_result(), "cells": [{"psnr": 1.0}, {"psnr": 2.0}]}}


def test_the_page_is_that_of_the_stored_results():
    assert stored.FOLDER.with_suffix(".md").read_text(encoding="utf-8") == page.page(stored.load())
