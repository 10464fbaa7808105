"""Inheritance under every sampler of the host's: evaluations are counted, not steps, and nothing crosses over.

The expected latent is that of the host's own UNet with the same features exchanged by a patch.
"""

import pytest
import torch
from closeness import relative_error
from hosted_model import SIZE, HostedModel, actions, split_batches
from patched_inheritance import PatchedInheritance

STEPS = 6
# Latents of equal inheritance differ by rounding, which a sampler of six steps carries on; those without it by far more.
EQUAL = 1e-4
DIFFERENT = 1e-3
# Evaluations in six steps, where it is not one for each. dpm_adaptive chooses its steps itself.
EVALUATIONS = {
    **dict.fromkeys(["heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
                     "dpmpp_sde", "dpmpp_sde_gpu", "seeds_2", "sa_solver_pece", "dpmpp_2m_sde_heun",
                     "dpmpp_2m_sde_heun_gpu"], 11),
    "seeds_3": 16, "heunpp2": 15,
}


def samplers():
    """The names that the host lists, as literals: tests are collected without a host."""
    return ["euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
            "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
            "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "ddpm",
            "lcm", "ipndm", "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral",
            "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2",
            "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2"]


@pytest.fixture(scope="module")
def hosted(comfy, glue, native):
    return HostedModel(glue)


@pytest.mark.parametrize("name", samplers())
def test_x(hosted, monkeypatch, name):
    import time
    t0=time.time()
    model = hosted.inheriting()
    latent, report = hosted.sampled(model, hosted.sampler(name), steps=STEPS)
    t1=time.time()
    with monkeypatch.context() as patched:
        split_batches(patched)
        expected = PatchedInheritance(hosted.patcher)
        reference = hosted.sample(expected.patcher, hosted.sampler(name), steps=STEPS)
    t2=time.time()
    exact = hosted.sample(hosted.exact(), hosted.sampler(name), steps=STEPS)
    print("RES", name, report["evaluations"], actions(report, "out.8"), actions(report, "out.8") == expected.evaluations, relative_error(reference, latent), relative_error(exact, latent), report["forced_refreshes"], t1-t0, t2-t1)
