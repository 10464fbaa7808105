"""One run of the host's sampler as a graph asks for it, and what a combination changes of it."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from support import hosted, models

STEPS = 5
SIZE = 16  # of the latent
PIXELS = 8 * SIZE
TOKENS = 77
SEED = 3
WIDTH = 32  # model channels of SD1.5


@dataclass
class Sampling:
    """What a KSampler is given, and the nodes before it made."""

    pack: hosted.Pack
    model: object
    positive: list
    negative: list
    latent: dict  # a LATENT
    sampler: object = "euler"  # a name or a SAMPLER
    scheduler: str = "normal"
    steps: int = STEPS
    cfg: float = 5.0
    denoise: float = 1.0
    sigmas: torch.Tensor | None = None  # instead of those of `scheduler`
    guider: Callable | None = None  # Sampling -> the guider in the place of the host's CFGGuider
    runner: Callable | None = None  # Sampling -> latent, in the place of one run of the sampler

    def run(self) -> torch.Tensor:
        """The latent [batch, 4, height, width] that the host's sampler gives."""
        torch.manual_seed(11)  # HyperTile and ToMe draw from the global generator
        return self.runner(self) if self.runner else self.sampled()

    def sampled(self) -> torch.Tensor:
        import comfy.sample
        import comfy.samplers
        guider = self.guider(self) if self.guider else self.cfg_guider()
        sampler = comfy.samplers.sampler_object(self.sampler) if isinstance(self.sampler, str) else self.sampler
        start = comfy.sample.fix_empty_latent_channels(guider.model_patcher, self.latent["samples"])
        noise = comfy.sample.prepare_noise(start, SEED, self.latent.get("batch_index"))
        return guider.sample(noise, start, sampler, self.sigmas_of_the_run(), callback=lambda *_: None, seed=SEED,
                             denoise_mask=self.latent.get("noise_mask"), disable_pbar=True)

    def cfg_guider(self):
        import comfy.samplers
        guider = comfy.samplers.CFGGuider(self.model)
        guider.set_conds(self.positive, self.negative)
        guider.set_cfg(self.cfg)
        return guider

    def sigmas_of_the_run(self) -> torch.Tensor:
        import comfy.samplers
        if self.sigmas is not None:
            return self.sigmas
        sigmas = comfy.samplers.calculate_sigmas(self.model.get_model_object("model_sampling"), self.scheduler,
                                                 int(self.steps / self.denoise))
        return sigmas[-(self.steps + 1):]

    def cond(self, seed: int, tokens: int = TOKENS, **extra) -> list:
        """A CONDITIONING of random numbers; `extra`: what nodes would add to it."""
        config = self.model.model.model_config.unet_config
        generator = torch.Generator().manual_seed(seed)
        if config.get("adm_in_channels"):
            extra = {"pooled_output": torch.randn(1, 1280, generator=generator), **extra}
        return [[torch.randn(1, tokens, config["context_dim"], generator=generator), extra]]

    def another_model(self, seed: int = 1):
        """A MODEL of the same structure with other weights."""
        return small_model(self.pack, "sd15", WIDTH, seed=seed)

    def with_conds(self, change: Callable):
        """Gives both conditionings to `change`, which gives both back."""
        self.positive, self.negative = change(self.positive, self.negative)


@dataclass(frozen=True)
class Combination:
    """`change` does to a Sampling what a graph with the combination has, and `base` makes the same one without it."""

    name: str
    by: str  # the nodes that do it, or how packs do it
    change: Callable[[Sampling], None]
    base: Callable[[hosted.Pack], Sampling] | None = None  # None: sd15()
    # Where it stands to the node of this pack: before the one that is exact, behind the one that inherits, but for what
    # makes a MODEL anew.
    second_order: str = "behind"
    rounds: bool = False  # it is a coarser dtype to compute in, so that latents agree within its rounding alone
    # What else than the picture shows that it was there, in words, and how it is counted: (Sampling, work) -> number
    # beside what `work` gives. None: the picture must differ from the one without it.
    shown_by: tuple[str, Callable] | None = None


_WEIGHTS = {}  # by what was filled, as to draw them takes longer than to copy them


def small_model(pack, preset: str, width: int, seed: int = 0, in_channels: int = 4):
    """A MODEL of its own each time, always with the same weights."""
    def fill(diffusion_model, seed: int):
        key = (preset, width, seed, in_channels)
        if key in _WEIGHTS:
            diffusion_model.load_state_dict(_WEIGHTS[key])
        else:
            models.random_unet_(diffusion_model, seed)
            _WEIGHTS[key] = {name: tensor.clone() for name, tensor in diffusion_model.state_dict().items()}
    return models.make_patcher(pack, preset, width, seed=seed, in_channels=in_channels, fill=fill)


def of_model(model, pack, **changes) -> Sampling:
    made = Sampling(pack, model, [], [], {"samples": torch.zeros(1, 4, SIZE, SIZE)})
    made.positive, made.negative = made.cond(1), made.cond(2)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def sd15(pack, in_channels: int = 4, **changes) -> Sampling:
    return of_model(small_model(pack, "sd15", WIDTH, in_channels=in_channels), pack, **changes)


def of_preset(preset: str, width: int) -> Callable:
    return lambda pack: of_model(small_model(pack, preset, width), pack)


def node(kind, *inputs, **named) -> tuple:
    """What a node of the host's gives, of either API."""
    if hasattr(kind, "define_schema"):
        made = kind.execute(*inputs, **named)
        return made if isinstance(made, tuple) else made.result
    made = kind()
    return getattr(made, kind.FUNCTION)(*inputs, **named)


def on_model(get_kind: Callable, *inputs, **named) -> Callable:
    """The change that a node MODEL -> MODEL makes; `get_kind` imports its class."""
    def change(sampling: Sampling):
        sampling.model = node(get_kind(), sampling.model, *inputs, **named)[0]
    return change


def extra(module: str, name: str) -> Callable:
    """Imports a node of comfy_extras when it is asked for, as the host must have begun before."""
    def get():
        import importlib
        return getattr(importlib.import_module(f"comfy_extras.{module}"), name)
    return get


def core(name: str) -> Callable:
    """The same of the host's nodes.py."""
    def get():
        import nodes
        return getattr(nodes, name)
    return get


def stored(kind: str, name: str, save: Callable) -> str:
    """The name of a file of the host's model folder `kind`, which `save(path)` writes."""
    import folder_paths
    folder = _folder() / kind
    if not folder.is_dir():
        folder.mkdir()
        folder_paths.add_model_folder_path(kind, str(folder))
    save(folder / name)
    return name


_FOLDERS = []


def _folder() -> Path:
    if not _FOLDERS:
        _FOLDERS.append(Path(tempfile.mkdtemp(prefix="combined")))
        atexit.register(shutil.rmtree, _FOLDERS[0], ignore_errors=True)
    return _FOLDERS[0]


def picture(seed: int = 5) -> torch.Tensor:
    """An IMAGE of random numbers, [1, PIXELS, PIXELS, 3]."""
    return torch.rand(1, PIXELS, PIXELS, 3, generator=torch.Generator().manual_seed(seed))


def left_half() -> torch.Tensor:
    """A MASK of the left half."""
    mask = torch.zeros(1, PIXELS, PIXELS)
    mask[:, :, :PIXELS // 2] = 1.0
    return mask


def demo_vae():
    """The VAE that the pack ships, loaded by the host."""
    import comfy.sd
    import comfy.utils
    from demo_models import VAE
    return comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(VAE)))
