"""One forward per run of a randomly filled UNet inside the real host: by the host's own code ("host"), by the same code
compiled by torch ("compile"), or by the native engine ("native"), there as one of many calls of a sampling run.
"""

import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serve import serve, timed  # noqa: E402
from support import hosted  # noqa: E402

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


class HostedUNet:
    def __init__(self, engine: str, device: str):
        hosted.start_host("--use-pytorch-cross-attention", device=device)
        self._engine = engine
        self._pack = hosted.load_pack()
        self._model = None  # (preset, width, dtype) that stands loaded
        self._patcher = None
        self._run = None  # the sampling run that native calls are part of

    def prepare(self, case) -> dict:
        import torch
        from support import calls, models
        torch.set_num_threads(case.threads)
        self._end_run()
        wanted = (case.model, case.width, case.dtype)
        if self._model != wanted:
            self._patcher = None
            gc.collect()
            patcher = models.make_patcher(self._pack, case.model, case.width, getattr(torch, DTYPES[case.dtype]))
            if self._engine == "native":
                patcher = self._pack.host.comfy_host().with_native_engine(patcher)
            calls.load(patcher)
            if self._engine == "compile":
                patcher.model.diffusion_model = torch.compile(patcher.model.diffusion_model, dynamic=False)
            self._patcher, self._model = patcher, wanted
        self._inputs = models.random_inputs(self._patcher, case.batch, case.latent, case.latent)
        self._synchronize = torch.cuda.synchronize if case.device == "cuda" else lambda: None
        if self._engine == "native":
            self._run = self._pack.sampling_run.SamplingRun(
                self._patcher.get_attachment("asdm"), self._patcher, torch.tensor([1.0, 0.0]))
        if case.device == "cuda":
            HostedUNet.run(self)  # the next call, everyone's untimed one, is captured in a graph
        return {"macs": self._macs(case)} if self._engine == "native" else {}

    def _unet(self):
        return self._pack.hosted_unet.hosted_unet(self._patcher.model).unet

    def _end_run(self):
        if self._run is not None:
            self._run.close()
            self._run = None

    def _run_options(self) -> dict:
        """Begins a model evaluation of the run."""
        if self._run is None:
            return {}
        self._run.begin_evaluation(self._inputs["timesteps"])
        whole = self._pack.canvas.Canvas(self._inputs["x"], as_input=lambda x: x, wrapped=False)
        self._run.begin_pass([], whole)  # nothing of it is scheduled
        return {self._pack.sampling_run.RUN_KEY: self._run}

    def _macs(self, case) -> int:
        """Multiply-accumulates of the whole batch."""
        unet = self._unet()
        tokens = self._inputs["context"].shape[1]
        return case.batch * unet.full_macs(case.latent, case.latent, tokens)

    def run(self) -> dict:
        from support import calls
        self._output, seconds = timed(
            lambda: calls.forward(self._patcher, self._inputs, run_options=self._run_options()), self._synchronize)
        return {"seconds": seconds}

    def save(self, path):
        import numpy
        numpy.save(path, self._output.cpu().numpy())


if __name__ == "__main__":
    serve(HostedUNet)
