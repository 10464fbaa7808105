"""API-format graphs around the demo model, for tests and measurements."""

UNET = "asdm_demo_unet.safetensors"
VAE = "asdm_demo_vae.safetensors"
TEXT_ENCODER = "asdm_demo_text_encoder.safetensors"
INHERITANCE = {
    "level": "block",
    "sites": "auto",
    "mode": "segment",
    "interval": 3,
    "full_evaluations": 0,
    "start_percent": 0.0,
    "end_percent": 1.0,
    "value": "hold",
    "max_age": 0,
}
# As demo/README.md recommends.
SAMPLING = {"seed": 7, "steps": 8, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}


class Graph:
    """A prompt under construction; a link is [node id, output number], as the server wants it."""

    def __init__(self):
        self.prompt = {}

    def add(self, class_type, **inputs):
        """Adds a node and returns the link to its first output."""
        node_id = str(len(self.prompt) + 1)
        self.prompt[node_id] = {"class_type": class_type, "inputs": inputs}
        return [node_id, 0]

    def load_unet(self, engine="native", unet_name=UNET, weight_dtype="default"):
        return self.add("ASDMLoadUNet", unet_name=unet_name, weight_dtype=weight_dtype, engine=engine)

    def inherit(self, model, **changes):
        return self.add("ASDMFeatureInheritance", model=model, **{**INHERITANCE, **changes})

    def load_clip(self):
        return self.add("CLIPLoader", clip_name=TEXT_ENCODER, type="stable_diffusion")

    def load_vae(self):
        return self.add("VAELoader", vae_name=VAE)

    def encode(self, clip, text):
        return self.add("CLIPTextEncode", clip=clip, text=text)

    def empty_latent(self, size=128, batch_size=1):
        return self.add("EmptyLatentImage", width=size, height=size, batch_size=batch_size)

    def sample(self, model, positive, negative, latent, **changes):
        settings = {**SAMPLING, **changes}
        return self.add("KSampler", model=model, positive=positive, negative=negative, latent_image=latent, **settings)

    def sample_text(self, model, text="strawberry", size=128, batch_size=1, **changes):
        """Everything from the words to the sampled latent."""
        clip = self.load_clip()
        latent = self.empty_latent(size, batch_size)
        return self.sample(model, self.encode(clip, text), self.encode(clip, ""), latent, **changes)

    def decode(self, latent, vae):
        return self.add("VAEDecode", samples=latent, vae=vae)

    def save_latent(self, latent):
        """The id of the node that writes the latent, bit for bit, to a file."""
        return self.add("SaveLatent", samples=latent, filename_prefix="latents/test")[0]

    def save_image(self, image, prefix):
        return self.add("SaveImage", images=image, filename_prefix=prefix)[0]

    def show_text(self, link):
        return self.add("PreviewAny", source=link)[0]

    def report(self, model, latent):
        """Links to the latent passed through and to the report's table."""
        latent_link = self.add("ASDMReport", model=model, latent=latent)
        return latent_link, [latent_link[0], 1]
