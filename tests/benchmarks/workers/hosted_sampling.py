"""A whole sampling per run inside the real host, cond and uncond in one batch: by the host's UNet ("host"), by the
native engine ("native"), or by the native engine with feature inheritance ("inheriting").
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serve import serve, timed  # noqa: E402
from support import hosted  # noqa: E402


class HostedSampling:
    def __init__(self, device: str):
        hosted.start_host("--use-pytorch-cross-attention", device=device)
        self._pack = hosted.load_pack()

    def prepare(self, case) -> dict:
        import torch
        from support import floor, inheriting, models
        torch.set_num_threads(case.threads)
        host = self._pack.host.comfy_host()
        patcher = models.make_patcher(self._pack, case.model, case.width, floor.DTYPES[case.dtype])
        native = host.with_native_engine(patcher)
        self._ways = {"host": patcher, "native": native,
                      "inheriting": host.with_inheritance(native, self._pack.request(inheriting.SETTINGS))}
        self._latent = case.latent
        return {}

    def run(self, way: str, steps: int) -> dict:
        from support import calls
        _, seconds = timed(lambda: calls.sample(self._ways[way], "euler", steps=steps, height=self._latent,
                                                width=self._latent))
        figures = {"seconds": seconds, "steps": steps}
        session = self._ways[way].get_attachment("asdm")
        if session is not None:
            report = session.reports[-1][1]
            figures |= {name: report[name] for name in ("mac_share", "full", "inherited", "cache_bytes")}
        return figures


if __name__ == "__main__":
    serve(HostedSampling)
