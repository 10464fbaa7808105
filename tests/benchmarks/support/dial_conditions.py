"""Conditions for the dial `speed`: how users sample. None of them, and none of the prompts and seeds that the benchmark
takes, went into its table or constants."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DialCondition:
    sampler: str
    steps: int
    scheduler: str
    denoise: float
    cfg: float
    pictures: int = 2  # in one batch
    beside: str = ""  # what the graph has beside: "LoRA" or "ControlNet", of random weights

    @property
    def name(self) -> str:
        task = "text" if self.denoise == 1.0 else f"image {self.denoise:g}"
        batch = f", batch {self.pictures}" if self.pictures != 2 else ""
        beside = f", {self.beside}" if self.beside else ""
        return f"{self.sampler} {self.steps} {self.scheduler}, {task}, cfg {self.cfg:g}{batch}{beside}"


CONDITIONS = (
    DialCondition("euler", 30, "karras", 1.0, 5.0),
    DialCondition("euler_ancestral", 20, "normal", 1.0, 5.0),
    DialCondition("dpmpp_2m", 25, "karras", 1.0, 6.0),
    DialCondition("dpmpp_2m_sde", 20, "exponential", 1.0, 4.0),
    DialCondition("dpmpp_sde", 12, "karras", 1.0, 5.0),
    DialCondition("ddim", 30, "sgm_uniform", 1.0, 4.0),
    DialCondition("uni_pc", 20, "karras", 1.0, 4.0),
    DialCondition("heun", 12, "normal", 1.0, 3.0),
    DialCondition("res_multistep", 20, "beta", 1.0, 4.0),
    DialCondition("euler", 12, "normal", 0.4, 4.0),
    DialCondition("dpmpp_2m", 12, "karras", 0.6, 5.0),
    DialCondition("euler_ancestral_cfg_pp", 16, "karras", 1.0, 1.5),
    DialCondition("euler", 50, "simple", 1.0, 7.0),
    DialCondition("euler", 8, "normal", 1.0, 3.0),
    DialCondition("euler", 12, "karras", 0.3, 5.0),
    DialCondition("euler_ancestral", 14, "beta", 0.5, 4.0),
    DialCondition("dpmpp_2m", 20, "sgm_uniform", 1.0, 4.0, pictures=4),
    DialCondition("dpmpp_2m", 20, "normal", 1.0, 5.0, beside="LoRA"),
    DialCondition("euler", 20, "beta", 1.0, 4.0, beside="ControlNet"),
    DialCondition("uni_pc", 16, "beta", 0.7, 4.0),
)
