"""Inheritance under every sampler of the host's: evaluations are counted, not steps, and nothing crosses over.

The expected latent is that of the host's own UNet with the same features exchanged by a patch.
"""

import ast

import pytest
import torch
from closeness import relative_error
from hosted_model import actions, split_batches
from patched_inheritance import DIFFERENT, EQUAL, PatchedInheritance
from repository import HOST

STEPS = 6
# Evaluations in six steps.
ONE_A_STEP = ["euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "lms", "dpm_fast", "dpmpp_2m",
              "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "ddpm", "lcm", "ipndm", "ipndm_v",
              "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral",
              "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde",
              "sa_solver", "ddim", "uni_pc", "uni_pc_bh2"]
TWO_A_STEP = ["heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde",
              "seeds_2", "sa_solver_pece"]
SAMPLERS = {**dict.fromkeys(ONE_A_STEP, "ciicii"), **dict.fromkeys(TWO_A_STEP, "ciiciiciici"),
            "seeds_3": "ciiciiciiciiciic",
            "heunpp2": "ciiciiciiciicii",
            "dpm_adaptive": None}  # as many as it needs, as those that only newer hosts have


def samplers_of_the_host() -> list[str]:
    """By its source, as tests are collected before the host is imported. Those on a GPU differ in where noise is made
    alone."""
    tree = ast.parse((HOST / "comfy" / "samplers.py").read_text(encoding="utf-8"))
    lists = {line.targets[0].id: line.value for line in tree.body
             if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)}
    common, more = lists["KSAMPLER_NAMES"], lists["SAMPLER_NAMES"].right
    return [name for part in (common, more) for name in ast.literal_eval(part) if not name.endswith("_gpu")]


def test_every_known_sampler_is_the_hosts(hosted):
    import comfy.samplers
    assert set(SAMPLERS) <= set(samplers_of_the_host()) <= set(comfy.samplers.SAMPLER_NAMES)


@pytest.mark.parametrize("name", samplers_of_the_host())
def test_features_go_where_the_hosts_own_unet_takes_them(hosted, monkeypatch, name):
    latent, report = hosted.sampled(hosted.inheriting(), hosted.sampler(name), steps=STEPS)
    exact = hosted.sample(hosted.exact(), hosted.sampler(name), steps=STEPS)
    split_batches(monkeypatch)
    expected = PatchedInheritance(hosted.patcher)
    reference = hosted.sample(expected.patcher, hosted.sampler(name), steps=STEPS)
    assert relative_error(reference, latent) < EQUAL
    assert relative_error(exact, latent) > DIFFERENT
    assert actions(report, "out.8") == expected.evaluations == (SAMPLERS.get(name) or expected.evaluations)
    assert report["evaluations"] == report["full"] + report["inherited"] == len(expected.sigmas)
    assert report["forced_refreshes"] == {}


@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_sde", "uni_pc", "dpm_adaptive"])
def test_a_rerun_is_equal_bit_for_bit(hosted, name):
    model = hosted.inheriting(value="taylor2")
    first = hosted.sample(model, hosted.sampler(name), steps=STEPS)
    hosted.sample(model, hosted.sampler("heun"), steps=3)
    assert torch.equal(first, hosted.sample(model, hosted.sampler(name), steps=STEPS))


def test_a_jump_upwards_is_computed_and_the_run_goes_on(hosted, monkeypatch):
    """As restart samplers make them: noise is put back in mid-run."""
    import comfy.samplers

    def restarting(model, x, sigmas, extra_args=None, callback=None, disable=None):
        for sigma in [12.0, 6.0, 3.0, 1.5, 8.0, 4.0, 2.0, 1.0]:
            denoised = model(x, torch.full((x.shape[0],), sigma), **extra_args)
            x = denoised + 0.5 * (x - denoised)
        return x

    sampler = comfy.samplers.KSAMPLER(restarting)
    sigmas = torch.tensor([12.0, 6.0, 3.0, 1.5, 0.0])
    latent, report = hosted.sampled(hosted.inheriting(), sampler, sigmas=sigmas)
    split_batches(monkeypatch)
    expected = PatchedInheritance(hosted.patcher)
    reference = hosted.sample(expected.patcher, sampler, sigmas=sigmas)
    assert relative_error(reference, latent) < EQUAL
    assert actions(report, "out.8") == expected.evaluations == "ciiccici"
    assert report["forced_refreshes"] == {"sigma rose": 1}
