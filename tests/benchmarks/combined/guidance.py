"""What works on the predictions of cond and uncond."""

from .sampling import Combination, Sampling, extra, node, on_model

SCALE = 7.0


def dynamic_thresholding(sampling: Sampling):
    """As packs for it: what guidance gives at a high scale is brought to the spread that a lower scale gives."""
    def guided(args):
        cond, uncond, x = args["cond"], args["uncond"], args["input"]
        high, low = uncond + SCALE * (cond - uncond), uncond + 3.0 * (cond - uncond)
        of_high, of_low = (x - prediction for prediction in (high, low))
        flat = of_high.flatten(2)
        limit = flat.sub(flat.mean(2, keepdim=True)).abs().quantile(0.95, dim=2, keepdim=True)
        clamped = flat.sub(flat.mean(2, keepdim=True)).clamp(-limit, limit)
        spread = of_low.flatten(2).std(2, keepdim=True) / clamped.std(2, keepdim=True)
        return x - (clamped * spread + flat.mean(2, keepdim=True)).view_as(x)
    sampling.model = sampling.model.clone()
    sampling.model.set_model_sampler_cfg_function(guided)


def without_guidance(sampling: Sampling):
    sampling.cfg = 1.0


def guidance_in_an_interval(sampling: Sampling):
    """As packs that turn guidance off outside of a range of sigmas: uncond is then not asked for."""
    sampling.model = sampling.model.clone()
    first = float(sampling.sigmas_of_the_run()[2])

    def calls(args):
        import comfy.samplers
        conds = args["conds"] if float(args["sigma"].max()) <= first else [args["conds"][0], None]
        out = comfy.samplers.calc_cond_batch(args["model"], conds, args["input"], args["sigma"], args["model_options"])
        return out if conds[1] is not None else [out[0], out[0]]
    sampling.model.model_options["sampler_calc_cond_batch_function"] = calls


def perp_neg(sampling: Sampling):
    sampling.model = node(extra("nodes_perpneg", "PerpNeg")(), sampling.model, sampling.cond(6), 1.0)[0]


def perp_neg_guider(sampling: Sampling):
    sampling.guider = lambda made: node(extra("nodes_perpneg", "PerpNegGuider")(), made.model, made.positive,
                                        made.negative, made.cond(6), made.cfg, 1.0)[0]


def dual_cfg_guider(sampling: Sampling):
    sampling.guider = lambda made: node(extra("nodes_custom_sampler", "DualCFGGuider")(), made.model, made.positive,
                                        made.cond(4), made.negative, 4.0, 2.0, "regular")[0]


def basic_guider(sampling: Sampling):
    sampling.guider = lambda made: node(extra("nodes_custom_sampler", "BasicGuider")(), made.model, made.positive)[0]


def perturbed_by_blocks(sampling: Sampling):
    """As packs for SEG: attn1 of some blocks blurred in a call of its own, away from which guidance goes."""
    def blurred(q, k, v, options):
        from comfy.ldm.modules.attention import optimized_attention
        return optimized_attention(q.mean(1, keepdim=True).expand_as(q).contiguous(), k, v, options["n_heads"])

    def guide(args):
        import comfy.model_patcher
        import comfy.samplers
        options = args["model_options"].copy()
        for block in (("input", 7), ("middle", 0), ("output", 4)):
            options = comfy.model_patcher.set_model_options_patch_replace(options, blurred, "attn1", *block)
        (worse,) = comfy.samplers.calc_cond_batch(args["model"], [args["cond"]], args["input"], args["sigma"], options)
        return args["denoised"] + (args["cond_denoised"] - worse) * 3.0
    sampling.model = sampling.model.clone()
    sampling.model.set_model_sampler_post_cfg_function(guide)


def _of(module: str, name: str, *inputs) -> dict:
    return {"by": name, "change": on_model(extra(module, name), *inputs)}


COMBINATIONS = [
    Combination("Perturbed-attention guidance", **_of("nodes_pag", "PerturbedAttentionGuidance", 3.0)),
    Combination("Self-attention guidance", **_of("nodes_sag", "SelfAttentionGuidance", 0.5, 2.0)),
    Combination("Smoothed-energy guidance", "as packs do it: a call of its own with attn1 replaced",
                perturbed_by_blocks),
    Combination("Adaptive projected guidance", **_of("nodes_apg", "APG", 0.5, 5.0, -0.3)),
    Combination("RescaleCFG", **_of("nodes_model_advanced", "RescaleCFG", 0.7)),
    Combination("Dynamic thresholding", "as packs do it: function in the place of guidance", dynamic_thresholding),
    Combination("CFG-Zero*", **_of("nodes_cfg", "CFGZeroStar")),
    Combination("CFGNorm", **_of("nodes_cfg", "CFGNorm", 0.9)),
    Combination("FreSca", **_of("nodes_fresca", "FreSca", 1.0, 1.4, 4)),
    Combination("Mahiro", **_of("nodes_mahiro", "Mahiro")),
    Combination("Tangential damping", **_of("nodes_tcfg", "TCFG")),
    Combination("Epsilon scaling", **_of("nodes_eps", "EpsilonScaling", 1.02)),
    Combination("Temporal score rescaling", **_of("nodes_eps", "TemporalScoreRescaling", 0.9, 1.0)),
    Combination("Perp-Neg", "PerpNeg", perp_neg),
    Combination("Perp-Neg as guider", "PerpNegGuider", perp_neg_guider),
    Combination("Guidance by two prompts", "DualCFGGuider", dual_cfg_guider),
    Combination("No guidance (cfg 1)", "KSampler", without_guidance),
    Combination("No negative prompt", "BasicGuider", basic_guider),
    Combination("Guidance from a sigma on", "as packs do it: function in the place of the calls",
                guidance_in_an_interval),
]
