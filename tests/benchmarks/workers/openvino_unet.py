"""One forward per run of the host's UNet, converted from torch, in OpenVINO. The converted model is kept beside the
peer's environment and mapped from there; it fits every latent size and batch and is compiled for one.

`openvino_unet.py ahead MODEL WIDTH` makes the converted model where there is none. That takes as much memory as torch's
weights, so it runs before any competitor stands.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import openvino  # noqa: E402
from serve import serve, timed  # noqa: E402
from support import hosted  # noqa: E402

CONVERTED = hosted.ROOT / ".test" / "peers" / "converted"
INPUTS = ("x", "timesteps", "context", "y")
PRECISION = {"fp32": "f32", "bf16": "bf16"}


def converted_path(model: str, width: int) -> Path:
    """Named by everything the weights depend on."""
    return CONVERTED / f"{model}-{width or 'published'}-{openvino.__version__.split('-')[0]}" / "unet.xml"


def convert(model: str, width: int):
    """Writes the UNet of the host's `model`, filled as in every other competitor, with fp32 weights."""
    hosted.start_host("--use-pytorch-cross-attention")
    import torch
    from support import calls, models
    patcher = models.make_patcher(hosted.load_pack(), model, width)
    calls.load(patcher)

    class Positional(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unet = patcher.model.diffusion_model

        def forward(self, x, timesteps, context, y=None):
            return self.unet(x, timesteps, context=context, y=y)

    inputs = models.random_inputs(patcher)
    example = tuple(inputs[name] for name in INPUTS if inputs[name] is not None)
    with torch.no_grad():
        converted = openvino.convert_model(Positional().eval(), example_input=example)
    path = converted_path(model, width)
    unfinished = path.parent.with_name(path.parent.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    openvino.save_model(converted, unfinished / path.name, compress_to_fp16=False)
    unfinished.rename(path.parent)


class OpenVinoUNet:
    def __init__(self):
        self._core = openvino.Core()
        hosted.start_host()
        self._pack = hosted.load_pack()

    def prepare(self, case) -> dict:
        import torch
        from support import models
        torch.set_num_threads(1)  # torch makes the inputs and nothing else here
        self._compiled = None  # before the next one is made: both may not fit
        unet_config = self._pack.loader.model_config(models.spec(self._pack, case.model, case.width)).unet_config
        inputs = models.inputs_of(unet_config, torch.float32 if case.dtype == "fp32" else torch.bfloat16, case.batch,
                                  case.latent, case.latent)
        # fp32 arrays: numpy has no bf16, and its values are what the others compute with.
        self._inputs = [inputs[name].float().numpy() for name in INPUTS if inputs[name] is not None]
        model = self._core.read_model(converted_path(case.model, case.width))
        model.reshape({number: list(value.shape) for number, value in enumerate(self._inputs)})
        self._compiled = self._core.compile_model(model, "CPU", {
            "INFERENCE_PRECISION_HINT": PRECISION[case.dtype], "INFERENCE_NUM_THREADS": case.threads,
            "PERFORMANCE_HINT": "LATENCY"})
        self._request = self._compiled.create_infer_request()
        return {"version": openvino.__version__,
                "precision": str(self._compiled.get_property("INFERENCE_PRECISION_HINT"))}

    def run(self) -> dict:
        self._output, seconds = timed(lambda: self._request.infer(self._inputs)[0])
        return {"seconds": seconds}

    def save(self, path):
        import numpy
        numpy.save(path, self._output)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ahead"]:
        wanted = sys.argv[2], int(sys.argv[3])
        if not converted_path(*wanted).is_file():
            convert(*wanted)
    else:
        serve(OpenVinoUNet)
