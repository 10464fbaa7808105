"""The demo's prompt: one graph with the three engines as branches that share everything but the UNet.

The server is asked for one branch at a time, so that each run samples anew and finds the rest of the graph cached.
"""

from dataclasses import dataclass, field

from graphs import Graph

STEPS = 20


@dataclass
class Branch:
    """One engine's part of the graph, by node ids."""

    name: str
    sampler: str
    image: str
    report: str
    compare: str = ""  # against the first branch; empty there

    @property
    def run_targets(self):
        return [self.image, self.report]


@dataclass
class DemoPrompt:
    prompt: dict
    branches: list[Branch] = field(default_factory=list)


def add_branch(graph, name, model, conditioning, vae, seed):
    latent = graph.sample(model, *conditioning, graph.empty_latent(), seed=seed, steps=STEPS)
    passed_on, table = graph.report(model, latent)
    image = graph.decode(passed_on, vae)
    file_prefix = f"{name.replace(' ', '_').replace('+', 'and')}"
    branch = Branch(name, latent[0], graph.save_image(image, file_prefix), graph.show_text(table))
    return branch, image


def build_prompt(text, seed, interval):
    """The graph for one prompt text and seed."""
    graph = Graph()
    clip, vae = graph.load_clip(), graph.load_vae()
    conditioning = graph.encode(clip, text), graph.encode(clip, "")
    native = graph.load_unet("native")
    models = {
        "host engine": graph.load_unet("reference"),
        "native engine": native,
        f"native + inheritance {interval}": graph.inherit(native, interval=interval),
    }
    demo, reference = DemoPrompt(graph.prompt), None
    for name, model in models.items():
        branch, image = add_branch(graph, name, model, conditioning, vae, seed)
        if reference is None:
            reference = image
        else:
            branch.compare = graph.show_text(graph.add("ASDMCompareImages", reference=reference, image=image))
        demo.branches.append(branch)
    return demo
