"""Forwards of the native engine that are watched part by part ("watched"), beside plain ones ("plain")."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from hosted_unet import HostedUNet  # noqa: E402
from serve import serve  # noqa: E402


class ProfiledUNet(HostedUNet):
    def __init__(self, device: str):
        super().__init__("native", device)

    def prepare(self, case) -> dict:
        facts = super().prepare(case)
        self._device = case.device
        unet = self._unet()
        macs = unet.node_macs(case.latent, case.latent, self._inputs["context"].shape[1])
        by_address = zip(unet.node_addresses(), macs, strict=True)
        return {**facts, "address_macs": {address: case.batch * count for address, count in by_address if count}}

    def run(self, way: str) -> dict:
        if way == "plain":
            return super().run()
        seam = self._pack.seam.EngineForward
        seam.profile = profile = self._pack.native.native_module().Profile(self._device)
        try:
            figures = super().run()
        finally:
            seam.profile = None
        return {**figures, "seconds_by_address": {address: seconds for address, _, seconds in profile.entries}}


if __name__ == "__main__":
    serve(ProfiledUNet)
