"""Text features and latents of captions and pictures, by the host's own route."""
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

# Wordings of a caption that the UNet is trained on, the plain one first.
TEMPLATES = ["{}", "a {}", "a picture of a {}"]
BATCH = 16  # prompts that go through the text encoder at once


def load_text_encoder(path):
    """The host's CLIP object, as its CLIPLoader node makes it."""
    import comfy.sd

    return comfy.sd.load_clip([str(path)], clip_type=comfy.sd.CLIPType.STABLE_DIFFUSION)


def encode_prompt(clip, text):
    """The host's CONDITIONING of a prompt, as its CLIPTextEncode node makes it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def encode_together(clip, prompts):
    """Features fp16 [len(prompts), 77, 768] of short prompts, as the parts of one long prompt: one pass for all."""
    chunks = [chunk for prompt in prompts for chunk in clip.tokenize(prompt)["l"]]
    if len(chunks) != len(prompts):
        raise ValueError(f"encode_together: expected prompts of one chunk of tokens each, got {len(chunks)} chunks of"
                         f" {len(prompts)} prompts")
    features, _ = clip.encode_from_tokens({"l": chunks}, return_pooled=True)
    return features.view(len(prompts), -1, features.shape[-1]).half()


def encode_prompts(clip, prompts, cache):
    """Features fp16 [len(prompts), 77, 768], kept in the file `cache`."""
    if cache.is_file():
        with safe_open(str(cache), "pt") as stored:
            if stored.metadata() == {"prompts": "\n".join(prompts)}:
                return stored.get_tensor("features")
    with torch.no_grad():
        parts = [encode_together(clip, prompts[start:start + BATCH]) for start in range(0, len(prompts), BATCH)]
    features = torch.cat(parts)
    save_file({"features": features}, str(cache), metadata={"prompts": "\n".join(prompts)})
    return features


def encode_captions(clip, captions, cache):
    """Features fp16 [1 + len(TEMPLATES) * N, 77, 768].

    Row 0 is the empty prompt; then all captions in the first wording, and so on.
    """
    return encode_prompts(clip, [""] + [t.format(c) for t in TEMPLATES for c in captions], cache)


class Encoder:
    """The host's VAE and its SD1.x latent format, as VAEEncode and KSampler use them."""

    def __init__(self, vae_path):
        import comfy.latent_formats
        import comfy.sd

        self._vae = comfy.sd.VAE(sd=load_file(str(vae_path)))
        self._format = comfy.latent_formats.SD15()

    def encode(self, pictures):
        """UNet latents [N, 4, H/8, W/8] of uint8 pictures [N, 3, H, W]."""
        pixels = pictures.permute(0, 2, 3, 1).float() / 255
        with torch.no_grad():
            latents = torch.cat([self._vae.encode(batch) for batch in pixels.split(16)])
        return self._format.process_in(latents).float()

    def give_back(self, pictures):
        """Pictures [N, 3, H, W] in [0, 1] as they come out of the autoencoder."""
        with torch.no_grad():
            decoded = self._vae.decode(self._vae.encode(pictures.permute(0, 2, 3, 1)))
        return decoded.permute(0, 3, 1, 2).float().clamp(0, 1)


def encode_pictures(vae_path, pictures):
    """UNet latents [N, 4, H/8, W/8] of uint8 pictures [N, 3, H, W]."""
    return Encoder(vae_path).encode(pictures)
