"""What ME-CondConv costs over the plain convolution: one ResBlock whose second convolution has three experts beside one
whose second convolution is plain, in the native engine and in turns. The difference is held against the time of the
plain block's first convolution with its norm: the convolution is as large, the norm a few percent of it."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import hosted, measure  # noqa: E402

LIMIT = 0.05  # of the convolution
SITE, LAYER, CONVOLUTION = "in.1.res.conv2", "in.1.res", "in.1.res.conv"
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
SHAPES = ((320, 64), (640, 32))  # channels, height and width


class OneResBlock:
    """A UNet of one ResBlock in the encoder, with routers that give each sample its own kernel."""

    def __init__(self, pack, channels: int, dtype, experts: int, source: str):
        import torch
        self._native = pack.native.native_module()
        spec = self._native.preset_spec("sd15", channels).replace(
            channel_mult=[1], num_res_blocks=[1], transformer_depth=[0], transformer_depth_output=[0, 0],
            transformer_depth_middle=-2)
        if experts > 1:
            spec = spec.replace(me_cond_conv=[{"site": SITE, "experts": experts, "routing": "softmax",
                                               "source": source, "temperature": 1.0}])
        self._unet = self._native.UNet(spec)
        generator = torch.Generator().manual_seed(0)

        def draw(shape):
            return (torch.randn(shape, generator=generator) * 0.02).to(dtype)

        self._leaves = [(draw(shape), draw([shape[0]]) if has_bias else None)
                        for _, shape, has_bias in self._unet.leaves()]
        self._weights = self._native.HostWeights(self._unet, self._leaves, None)
        self._hooks = pack.hooks.HostHooks({}, channels, None)

    def seconds(self, inputs: dict) -> dict:
        """{address: seconds} of one call."""
        import torch
        profile = self._native.Profile("cpu")
        with torch.inference_mode():
            self._unet.forward(**inputs, control={}, weights=self._weights, hooks=self._hooks,
                               features=self._native.CallFeatures(), profile=profile)
        return {address: seconds for address, _, seconds in profile.entries}


def compared(pack, options, channels: int, size: int) -> dict:
    import torch
    dtype = getattr(torch, DTYPES[options.dtype])
    plain = OneResBlock(pack, channels, dtype, 1, options.source)
    mixed = OneResBlock(pack, channels, dtype, options.experts, options.source)
    generator = torch.Generator().manual_seed(1)
    inputs = {"x": torch.randn(options.batch, 4, size, size, generator=generator).to(dtype),
              "timesteps": torch.linspace(901.0, 13.5, options.batch),
              "context": torch.randn(options.batch, 77, 768, generator=generator).to(dtype), "y": None}
    shares, rounds = [], []
    for turn in range(options.rounds + 1):
        ours, theirs = mixed.seconds(inputs), plain.seconds(inputs)
        if turn:  # the first call finds memory and code
            rounds.append(theirs[CONVOLUTION])
            shares.append((ours[LAYER] - theirs[LAYER]) / theirs[CONVOLUTION])
    return {"channels": channels, "size": size, "cost": measure.median(shares),
            "convolution_ms": measure.median(rounds) * 1e3}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp32")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--experts", type=int, default=3)
    parser.add_argument("--source", choices=["input", "input_shared", "time"], default="input")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    hosted.start_host(device="cpu")
    pack = hosted.load_pack()
    import torch
    torch.set_num_threads(options.threads)
    rows = [compared(pack, options, channels, size) for channels, size in SHAPES]
    holds = all(row["cost"] <= LIMIT for row in rows)
    print(json.dumps({"benchmark": "me_cond_conv", "dtype": options.dtype, "batch": options.batch,
                      "experts": options.experts, "source": options.source, "rounds": options.rounds, "limit": LIMIT,
                      "holds": holds, "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
