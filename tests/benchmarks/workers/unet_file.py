"""Loads one UNet file per run, by the host's own loader ("host") or by this pack's ("native"), and reads a number of
every page of every weight, so that the weights are there and not merely promised."""

import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serve import forget_peak_memory, peak_memory, serve, timed  # noqa: E402
from support import hosted  # noqa: E402

PAGE = 4096


def resident() -> int:
    """Resident bytes of this process now, mapped files included."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) * 1024


class UNetFileLoader:
    def __init__(self, loader: str):
        hosted.start_host()
        self._pack = hosted.load_pack()
        import comfy.sd  # noqa: F401 - all that either loader is made of lies in memory before it is asked
        self._pack.host.comfy_host()
        self._pack.native.native_module()
        self._loader = loader

    def run(self, path: str) -> dict:
        gc.collect()
        before = resident()
        forget_peak_memory()
        patcher, seconds = timed(lambda: self._load(path))
        weight_bytes = sum(p.numel() * p.element_size() for p in patcher.model.diffusion_model.parameters())
        return {"seconds": seconds, "weight_bytes": weight_bytes, "peak_bytes": peak_memory() - before}

    def _load(self, path: str):
        import torch
        with torch.inference_mode():
            if self._loader == "host":
                import comfy.sd
                patcher = comfy.sd.load_diffusion_model(path)
            else:
                layout = self._pack.native.native_module().read_unet_file(path)
                host = self._pack.host.comfy_host()
                patcher = host.with_native_engine(host.load_unet(path, layout, "fp16"))
            for parameter in patcher.model.diffusion_model.parameters():
                parameter.flatten()[::PAGE // parameter.element_size()].sum()
        return patcher


if __name__ == "__main__":
    serve(UNetFileLoader)
