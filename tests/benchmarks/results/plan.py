"""Every measurement that docs/benchmarks.md shows: its name, which is that of its stored result, and its command."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    name: str
    benchmark: str
    arguments: tuple[str, ...] = ()
    needs: str = ""  # "gpu", "amx": measured only where there is one

    def command(self) -> str:
        return " ".join(("bash scripts/bench.sh", self.benchmark, *self.arguments))


def _forward(latent: int, batch: int) -> Measurement:
    return Measurement(f"forward-sd15-{latent}x{latent}-b{batch}", "forward",
                       ("--device", "cpu", "--model", "sd15", "--latent", str(latent), "--batch", str(batch),
                        "--rounds", "5"))


def _forward_amx(latent: int, batch: int) -> Measurement:
    return Measurement(f"forward-amx-sd15-{latent}x{latent}-b{batch}", "forward",
                       ("--device", "cpu", "--model", "sd15", "--dtypes", "bf16", "--latent", str(latent), "--batch",
                        str(batch), "--rounds", "11"), needs="amx")


def _forward_gpu(model: str, batch: int) -> Measurement:
    latent = {"sd15": "64", "sdxl": "128"}[model]
    return Measurement(f"forward-gpu-{model}-{latent}x{latent}-b{batch}", "forward",
                       ("--device", "cuda", "--model", model, "--latent", latent, "--batch", str(batch)),
                       needs="gpu")


def forwards_on(processor: str, results: dict[str, dict]) -> list[dict]:
    """Of the results, those of forwards on a "gpu", with "amx", or on any "cpu"."""
    own = ("gpu", "amx")
    return [result for name, result in results.items() if name.startswith("forward-")
            and processor == next((one for one in own if name.startswith(f"forward-{one}-")), "cpu")]


PLAN = (
    Measurement("parity-full", "parity", ("--device", "cpu", "--full", "--presets", "sd15")),
    Measurement("parity-reduced", "parity", ("--device", "cpu")),
    *(_forward(latent, batch) for latent in (64, 32) for batch in (2, 1)),
    *(_forward_amx(latent, batch) for latent in (64, 32) for batch in (2, 1)),
    # All sizes at once: four copies of these weights fill a memory, so each turn begins with a start.
    Measurement("forward-sdxl", "forward", ("--device", "cpu", "--model", "sdxl", "--latent", "64", "32", "--batch",
                                            "2", "1", "--rounds", "3")),
    *(Measurement(f"profiler-{model}-{dtype}", "profiler", ("--device", "cpu", "--model", model, "--dtype", dtype))
      for model, dtype in (("sd15", "fp32"), ("sd15", "bf16"), ("sdxl", "bf16"))),
    # The size at which OpenVINO is ahead: where the time goes there.
    *(Measurement(f"profiler-sd15-{dtype}-32x32-b1", "profiler",
                  ("--device", "cpu", "--model", "sd15", "--dtype", dtype, "--latent", "32", "--batch", "1"))
      for dtype in ("fp32", "bf16")),
    Measurement("scale", "scale", ("--device", "cpu", "--dtype", "bf16")),
    Measurement("inheritance", "inheritance", ("--device", "cpu", "--dtype", "bf16")),
    Measurement("speed", "speed"),
    Measurement("quality", "quality", ("--device", "cpu", "--missing")),
    Measurement("tried", "tried", ("--device", "cpu")),
    Measurement("calibrated", "calibrated"),
    Measurement("calibrated-normal", "calibrated", ("--effort", "normal")),
    *(Measurement(f"reused-{dtype}", "reused", ("--dtype", dtype)) for dtype in ("fp32", "bf16")),
    Measurement("assembled", "assembled"),
    *(Measurement(f"me_cond_conv-{dtype}", "me_cond_conv", ("--dtype", dtype)) for dtype in ("fp32", "bf16")),
    Measurement("distilled", "distilled"),
    Measurement("switch", "switch"),
    Measurement("stack", "stack"),
    Measurement("load", "load"),
    Measurement("start", "start"),
    Measurement("peers", "peers"),
    Measurement("bypass", "bypass"),
    Measurement("host_leaf", "host_leaf"),
    Measurement("hosts", "hosts"),
    Measurement("trust", "trust"),
    *(_forward_gpu(model, batch) for model in ("sd15", "sdxl") for batch in (1, 2, 4, 8)),
    Measurement("profiler-gpu-sd15", "profiler", ("--device", "cuda", "--dtype", "fp16"), needs="gpu"),
    Measurement("scale-gpu", "scale", ("--device", "cuda", "--dtype", "fp16"), needs="gpu"),
    Measurement("inheritance-gpu", "inheritance", ("--device", "cuda", "--dtype", "fp16"), needs="gpu"),
    Measurement("parity-gpu-sd15", "parity", ("--device", "cuda", "--presets", "sd15"), needs="gpu"),
    Measurement("parity-gpu-reduced", "parity", ("--device", "cuda"), needs="gpu"),
)
