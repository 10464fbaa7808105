"""Random prompts of the pack's nodes and the host's, sound and unsound, as hypothesis draws them."""

from pathlib import Path

from hypothesis import strategies as st
from support.hosted import ROOT

SIZE = 64  # of a picture, in pixels
SMALL = ("asdm_demo_s0_s1.safetensors", "asdm_demo_s0_s1_me_cond_conv.safetensors")
SITES = ("auto", "out.8", "out.10, in.4.attn:output", "0-0.5: out.10; 0.5-1: out.8", "guidance", "encoder",
         "out.*.attn", "in.4.attn.0.attn1 in.4.res.conv", "out", "control", "out.99", "", "transformers",
         "\u00e9\u00e9", "*" * 400)
PLAN = ROOT / "tests" / "fuzz" / "corpus" / "plan" / "of_the_page"
PLANS = (PLAN.read_text(encoding="utf-8"), "", "{}", "not a plan")
MODES = ("segment", "uniform", "front", "triangular", "quadratic", "centre", "growing", "explicit", "log_snr",
         "equal_change", "adaptive", "easycache", "sometimes")
# Nodes of the host's on a MODEL, with inputs that are right.
HOST_NODES = {
    "FreeU_V2": {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2},
    "PerturbedAttentionGuidance": {"scale": 3.0},
    "SelfAttentionGuidance": {"scale": 0.5, "blur_sigma": 2.0},
    "RescaleCFG": {"multiplier": 0.7},
    "HyperTile": {"tile_size": 64, "swap_size": 2, "max_depth": 0, "scale_depth": False},
    "TomePatchModel": {"ratio": 0.3},
    "PatchModelAddDownscale": {"block_number": 3, "downscale_factor": 2.0, "start_percent": 0.0, "end_percent": 0.35,
                               "downscale_after_skip": True, "downscale_method": "bicubic",
                               "upscale_method": "bicubic"},
    "ModelSamplingDiscrete": {"sampling": "v_prediction", "zsnr": True},
    "EasyCache": {"reuse_threshold": 0.2, "start_percent": 0.15, "end_percent": 0.95, "verbose": False},
    "LoraLoaderModelOnly": {"lora_name": "tiny_lora.safetensors", "strength_model": 0.8},
}
# Nodes of the pack whose first output may be had without them, and the input that it then is.
PASSED_BY = {"ASDMNativeUNet": "model", "ASDMFeatureInheritance": "model", "ASDMApplyPlan": "model",
             "ASDMSwitchUNets": "model", "ASDMWrapSampler": "sampler"}


def one_of(*values):
    return st.sampled_from(values)


def inheritance():
    """Inputs of what inherits; the optional ones now and then."""
    return st.fixed_dictionaries(
        {"level": one_of("block", "layer", "unit"), "sites": one_of(*SITES), "mode": one_of(*MODES),
         "interval": one_of(0, 1, 2, 3, 1000), "full_evaluations": one_of(0, 0, 2, 10000),
         "start_percent": one_of(0.0, 0.0, 0.3), "end_percent": one_of(1.0, 1.0, 0.8, 0.2),
         "value": one_of("hold", "taylor1", "taylor2", "affine"), "max_age": one_of(0, 0, 1)},
        optional={"threshold": one_of(0.0, 0.1, 100.0), "full_at": one_of("", "0", "1010", "0,2", "x"),
                  "storage": one_of("compute", "bf16", "cpu", "cpu_bf16"), "first_full": one_of(0, 2),
                  "last_full": one_of(0, 1)})


def _ours():
    return st.one_of(
        st.tuples(st.just("ASDMNativeUNet"), st.fixed_dictionaries({"compute_dtype": one_of("auto", "fp32", "bf16")})),
        st.tuples(st.just("ASDMFeatureInheritance"), inheritance()),
        st.tuples(st.just("ASDMApplyPlan"), st.fixed_dictionaries({"plan": one_of(*PLANS)})),
        st.tuples(st.just("ASDMAssembleUNet"), st.fixed_dictionaries(
            {"preset": one_of("s0_s1", "s0", "bk_small", "thin", "ssd_1b", "none"),
             "remove": one_of("", "in.8.attn", "mid", "in.4", "in.99")})),
        st.tuples(st.just("ASDMMECondConv"), st.fixed_dictionaries(
            {"sites": one_of("auto", "in.1.res.conv2", "nowhere"), "experts": one_of(2, 3),
             "routing": one_of("softmax", "sigmoid"), "source": one_of("input", "input_shared", "time"),
             "temperature": st.just(1.0)})),
        st.tuples(st.just("ASDMSwitchUNets"), st.fixed_dictionaries({"switch_percent": one_of(0.0, 40.0, 100.0)})))


def _hosts():
    return st.sampled_from(sorted(HOST_NODES)).map(lambda name: (name, HOST_NODES[name]))


@st.composite
def prompts(draw, graph):
    """A prompt, built by `graph()` of tests/host/graphs.py."""
    made = graph()

    def loaded():
        if draw(st.integers(0, 9)) == 0:
            return made.add("UNETLoader", unet_name="tiny_stock_unet.safetensors", weight_dtype="default")
        name = draw(one_of("asdm_demo_unet.safetensors", "asdm_demo_unet.safetensors", *SMALL, "broken.safetensors"))
        engine, dtype = draw(one_of("native", "native", "reference")), draw(one_of("default", "fp32", "bf16"))
        return made.load_unet(engine, name, dtype)

    model = loaded()
    for name, inputs in draw(st.lists(st.one_of(_ours(), _ours(), _hosts()), max_size=4)):
        more = {"early_model": loaded()} if name == "ASDMSwitchUNets" else {}
        model = made.add(name, model=model, **inputs, **more)
    clip = made.load_clip()
    positive, negative = made.encode(clip, draw(one_of("strawberry", "taco", ""))), made.encode(clip, "")
    latent = made.empty_latent(draw(one_of(SIZE, SIZE, 72)), draw(one_of(1, 1, 2)))
    sampled = _sampled(draw, made, model, positive, negative, latent)
    made.save_latent(sampled)
    if draw(st.booleans()):
        _, table = made.report(model, sampled)
        made.show_text(table)
    if draw(st.booleans()):
        made.add("PreviewImage", images=made.decode(sampled, made.load_vae()))
    return made.prompt


def _sampled(draw, made, model, positive, negative, latent):
    sampler = draw(one_of("euler", "heun", "dpmpp_2m", "ddim", "lcm", "uni_pc", "euler_ancestral"))
    steps, cfg = draw(one_of(1, 2, 3)), draw(one_of(1.0, 4.0))
    if draw(st.booleans()):
        return made.sample(model, positive, negative, latent, sampler_name=sampler, steps=steps, cfg=cfg,
                           denoise=draw(one_of(1.0, 1.0, 0.5)))
    chosen = made.add("KSamplerSelect", sampler_name=sampler)
    if draw(st.booleans()):
        chosen = made.add("ASDMWrapSampler", sampler=chosen, plan=draw(one_of("", *PLANS)), **draw(inheritance()))
    sigmas = made.add("BasicScheduler", model=model, scheduler="karras", steps=steps, denoise=1.0)
    return made.add("SamplerCustom", model=model, add_noise=True, noise_seed=3, cfg=cfg, positive=positive,
                    negative=negative, sampler=chosen, sigmas=sigmas, latent_image=latent)


def without_the_engine(prompt: dict) -> dict:
    """The same prompt in the host's own code. What makes smaller UNets stays: the host has none."""
    def linked(value):
        while isinstance(value, list) and prompt[value[0]]["class_type"] in PASSED_BY:
            passed = prompt[value[0]]
            value = passed["inputs"][PASSED_BY[passed["class_type"]]]
        return value

    def inputs_of(node: dict) -> dict:
        inputs = {name: linked(value) for name, value in node["inputs"].items()}
        return inputs | {"engine": "reference"} if node["class_type"] == "ASDMLoadUNet" else inputs
    return {number: node | {"inputs": inputs_of(node)} for number, node in prompt.items()
            if node["class_type"] not in PASSED_BY}


def models_beside(folder: Path, unet: Path) -> dict:
    """Model folder -> what prompts name besides the demo's files."""
    import tiny_models
    return {"diffusion_models": [tiny_models.write_stock_unet(folder / tiny_models.STOCK_UNET),
                                 tiny_models.write_broken_file(folder / tiny_models.BROKEN)],
            "loras": [tiny_models.write_lora(folder / tiny_models.LORA, unet)]}
