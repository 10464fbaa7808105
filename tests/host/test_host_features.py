"""What users combine the pack with: LoRA, image to image, other samplers, interrupts, batches."""

import pytest
import torch
from closeness import MAX_RELATIVE_ERROR, relative_error
from graphs import Graph
from tiny_models import LORA


def build(engine, lora=0.0, inherit=None):
    """A graph and the link to its model."""
    graph = Graph()
    model = graph.load_unet(engine, weight_dtype="fp32")
    if lora:
        model = graph.add("LoraLoaderModelOnly", model=model, lora_name=LORA, strength_model=lora)
    if inherit:
        model = graph.inherit(model, interval=inherit)
    return graph, model


def text_latent(host, engine, lora=0.0, inherit=None, **sampling):
    graph, model = build(engine, lora, inherit)
    return host.sample(graph, graph.sample_text(model, **sampling))


def image_latent(host, engine, inherit=None):
    """Half denoised from a picture that itself comes out of the VAE."""
    graph, model = build(engine, inherit=inherit)
    vae, clip = graph.load_vae(), graph.load_clip()
    picture = graph.add("EmptyImage", width=128, height=128, batch_size=1, color=0xC03040)
    start = graph.add("VAEEncode", pixels=picture, vae=vae)
    positive, negative = graph.encode(clip, "red apple"), graph.encode(clip, "")
    return host.sample(graph, graph.sample(model, positive, negative, start, denoise=0.5))


def test_lora_acts_on_the_native_engine_as_on_the_reference(host):
    reference = text_latent(host, "reference", lora=1.0)
    native = text_latent(host, "native", lora=1.0)
    plain = text_latent(host, "native")
    assert relative_error(plain, native) > 0.01, "the LoRA changed nothing"
    assert relative_error(reference, native) < MAX_RELATIVE_ERROR


def test_lora_is_gone_when_its_node_is_gone(host):
    before = text_latent(host, "native")
    text_latent(host, "native", lora=1.0)
    assert torch.equal(before, text_latent(host, "native"))


def test_lora_strength_can_change_between_runs(host):
    weak = text_latent(host, "native", lora=0.3)
    strong = text_latent(host, "native", lora=1.0)
    assert relative_error(strong, text_latent(host, "reference", lora=1.0)) < MAX_RELATIVE_ERROR
    assert relative_error(weak, text_latent(host, "reference", lora=0.3)) < MAX_RELATIVE_ERROR


def test_image_to_image(host):
    reference = image_latent(host, "reference")
    assert relative_error(reference, image_latent(host, "native")) < MAX_RELATIVE_ERROR
    assert torch.isfinite(image_latent(host, "native", inherit=2)).all()


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "heun", "uni_pc", "euler_ancestral"])
def test_other_samplers(host, sampler):
    reference = text_latent(host, "reference", sampler_name=sampler, steps=6)
    native = text_latent(host, "native", sampler_name=sampler, steps=6)
    assert relative_error(reference, native) < MAX_RELATIVE_ERROR
    assert torch.isfinite(text_latent(host, "native", inherit=3, sampler_name=sampler, steps=6)).all()


def test_batch_and_odd_size(host):
    reference = text_latent(host, "reference", batch_size=3, size=120, steps=4)
    assert reference.shape[0] == 3
    assert relative_error(reference, text_latent(host, "native", batch_size=3, size=120, steps=4)) < MAX_RELATIVE_ERROR


def test_cfg_one_runs_without_the_negative_prompt(host):
    reference = text_latent(host, "reference", cfg=1.0, steps=4)
    assert relative_error(reference, text_latent(host, "native", cfg=1.0, steps=4)) < MAX_RELATIVE_ERROR


def test_interrupt_stops_the_run_and_leaves_no_state(host):
    before = text_latent(host, "native", inherit=3)
    graph, model = build("native", inherit=3)
    graph.save_latent(graph.sample_text(model, steps=2000))

    def stop_soon(kind, data):
        if kind == "progress" and data["value"] >= 4:
            host.client.interrupt()

    run = host.client.run(graph.prompt, on_event=stop_soon)
    assert run.status == "interrupted"
    assert torch.equal(before, text_latent(host, "native", inherit=3))
