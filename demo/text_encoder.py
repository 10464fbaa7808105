"""Generates the demo's text encoder: a CLIP-L-shaped net of fixed random features.

`python demo/text_encoder.py --out FILE` writes an fp16 safetensors file that the
host's CLIPLoader (type stable_diffusion) loads. The weights are not trained: a
random transformer already gives every caption its own features, and the UNet
learns to read those.

Only bytes of a Mersenne Twister and exact IEEE products make the numbers (no
logarithm, no sum), so that the file is the same on every machine.
"""
import argparse
import hashlib

import numpy as np
from safetensors.numpy import save_file

SEED = 20261123
WIDTH, LAYERS, MLP_WIDTH = 768, 12, 3072
VOCABULARY, POSITIONS = 49408, 77
# Deviation of the embeddings. Positions are weak, so that a word looks alike
# wherever it stands in the prompt.
TOKEN_STD, POSITION_STD = 1.0, 0.35
# Gains over 1/sqrt(fan_in). Large query/key gains make attention pick single
# tokens; with flat attention the 70-odd padding tokens would drown the words.
QUERY_KEY_GAIN, VALUE_GAIN, OUT_GAIN = 1.5, 1.0, 0.6
MLP_IN_GAIN, MLP_OUT_GAIN = 1.0, 0.4


class RandomTensors:
    """Draws centred uniform fp16 arrays from one fixed byte stream."""

    def __init__(self, seed):
        self.state = np.random.RandomState(seed)

    def draw(self, shape, std):
        """fp16 array of the given shape and deviation."""
        count = int(np.prod(shape))
        levels = np.frombuffer(self.state.bytes(2 * count), dtype="<u2")
        centred = (levels.astype(np.float32) - np.float32(32767.5)) / np.float32(32768)
        # a uniform variable on [-1, 1] has deviation 1/sqrt(3)
        scaled = centred * np.float32(std * 1.7320508)
        return scaled.astype(np.float16).reshape(shape)

    def linear(self, name, out_width, in_width, gain, bias=True):
        """Weight [out_width, in_width] and a zero bias, as a dict."""
        tensors = {name + ".weight": self.draw((out_width, in_width), gain * in_width ** -0.5)}
        if bias:
            tensors[name + ".bias"] = np.zeros(out_width, np.float16)
        return tensors


def _norm(name):
    return {
        name + ".weight": np.ones(WIDTH, np.float16),
        name + ".bias": np.zeros(WIDTH, np.float16),
    }


def make_state():
    """All tensors of the text encoder, by the host's key names."""
    random = RandomTensors(SEED)
    state = {
        "text_model.embeddings.token_embedding.weight":
            random.draw((VOCABULARY, WIDTH), TOKEN_STD),
        "text_model.embeddings.position_embedding.weight":
            random.draw((POSITIONS, WIDTH), POSITION_STD),
    }
    for layer in range(LAYERS):
        prefix = f"text_model.encoder.layers.{layer}."
        for part, gain in (("q_proj", QUERY_KEY_GAIN), ("k_proj", QUERY_KEY_GAIN),
                           ("v_proj", VALUE_GAIN), ("out_proj", OUT_GAIN)):
            state.update(random.linear(f"{prefix}self_attn.{part}", WIDTH, WIDTH, gain))
        state.update(random.linear(prefix + "mlp.fc1", MLP_WIDTH, WIDTH, MLP_IN_GAIN))
        state.update(random.linear(prefix + "mlp.fc2", WIDTH, MLP_WIDTH, MLP_OUT_GAIN))
        state.update(_norm(prefix + "layer_norm1"))
        state.update(_norm(prefix + "layer_norm2"))
    state.update(_norm("text_model.final_layer_norm"))
    state.update(random.linear("text_projection", WIDTH, WIDTH, 1.0, bias=False))
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="safetensors file to write")
    options = parser.parse_args()
    save_file(make_state(), options.out, metadata={"asdm.demo": f"random features, seed {SEED}"})
    with open(options.out, "rb") as handle:
        print(options.out, "sha256", hashlib.file_digest(handle, "sha256").hexdigest())


if __name__ == "__main__":
    main()
