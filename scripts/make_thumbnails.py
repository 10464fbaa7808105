"""Writes example_workflows/NAME.jpg, what ComfyUI's template gallery shows: the picture of the workflow without and
with what makes it faster, and how many times less work the UNet had, all from runs on the demo model.

python tests/host/with_server.py thumbnails python scripts/make_thumbnails.py [NAME...]
"""

import io
import json
import os
import re
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests" / "host"))

from comfy_client import ComfyClient  # noqa: E402
from demo_twin import demo_twin, without_inheritance  # noqa: E402
from graphs import Graph  # noqa: E402

WORKFLOWS = REPO / "example_workflows"
ASSEMBLED = REPO / "docs" / "benchmarks" / "assembled.json"
SIDE, BAR = 256, 48
# What each shows; the demo model draws nothing else than it was trained on.
CAPTIONS = {
    "Speed up SD1.5": "strawberry", "Speed up SDXL": "rainbow", "Image to image": "green apple", "Inpaint": "cherries",
    "ControlNet": "sunflower", "LoRA": "panda face", "Hires fix": "sun", "Second pass over a part": "tomato",
    "Compare fast and exact": "taco", "Find a plan": "hamburger", "Record and replay a run": "guitar",
    "Assemble and distil": "penguin", "Switch UNets (demo model)": "mushroom", "SamplerCustom": "cactus",
    "Text to image (demo model)": "red apple"}
FIRST_PICTURE = "red apple"  # what workflows load that begin with a picture
SMALL_UNET = "asdm_demo_s0_s1.safetensors"
# Denoise of second passes: the demo model knows no other size than its own, and would draw everything once more.
SECOND_PASSES = {"Hires fix": 0.25, "Second pass over a part": 0.2}


class Thumbnails:
    def __init__(self, client: ComfyClient):
        self._client = client

    def run(self, prompt: dict):
        run = self._client.run(prompt)
        if run.status != "success":
            raise SystemExit(f"{run.error.get('node_type')} failed: {run.error.get('exception_message')}")
        return run

    def pictures(self, prompt: dict) -> list[Image.Image]:
        """Those of the workflow's SaveImage nodes, in their order."""
        run = self.run(prompt)
        return [Image.open(io.BytesIO(self._client.images(run, node_id)[0])).convert("RGB")
                for node_id, node in prompt.items() if node["class_type"] == "SaveImage"]

    def work(self, prompt: dict) -> float:
        """The share of the UNet's work that the last sampler of `prompt` did, by ASDMReport."""
        samplers = [node_id for node_id, node in prompt.items() if "latent_image" in node["inputs"]
                    and node["class_type"] != "ASDMCalibratePlan" and "ASDM" in str(self._chain(prompt, node_id))]
        values = prompt[samplers[-1]]["inputs"]
        model = values["model"] if "model" in values else prompt[values["guider"][0]]["inputs"]["model"]
        report = {"class_type": "ASDMReport", "inputs": {"model": model, "latent": [samplers[-1], 0]}}
        shown = {"class_type": "PreviewAny", "inputs": {"source": ["report", 1]}}
        run = self.run({**prompt, "report": report, "shown": shown})
        return float(re.search(r"([\d.]+) %", run.text("shown"))[1]) / 100

    @staticmethod
    def _chain(prompt: dict, node_id: str) -> list[str]:
        """Classes of what makes the model and the sampler that a node samples with."""
        found, open_links = [], [prompt[node_id]["inputs"].get(name) for name in ("model", "sampler")]
        while open_links:
            link = open_links.pop()
            if isinstance(link, list):
                found.append(prompt[link[0]]["class_type"])
                open_links += [prompt[link[0]]["inputs"].get(name) for name in ("model", "early_model", "sampler")]
        return [kind for kind in found if kind not in ("ASDMLoadUNet", "ASDMAssembleUNet", "ASDMDistillUNet")]

    def before_and_after(self, name: str, prompt: dict) -> tuple[Image.Image, Image.Image, float]:
        """(without, with, how many times less work)."""
        if name == "Assemble and distil":
            # Distilled for a few steps it draws nothing yet; the pack has the same cut, distilled whole.
            text = json.loads((WORKFLOWS / "api" / "Text to image (demo model).json").read_text(encoding="utf-8"))
            full = without_inheritance(demo_twin(text, CAPTIONS[name]))
            small = json.loads(json.dumps(full).replace("asdm_demo_unet.safetensors", SMALL_UNET))
            return self.pictures(full)[0], self.pictures(small)[0], small_ratio()
        if name.startswith("Switch UNets"):
            (early,) = [node["inputs"]["switch_percent"] / 100 for node in prompt.values()
                        if node["class_type"] == "ASDMSwitchUNets"]
            ratio = 1.0 / (1.0 - early + early / small_ratio())
        else:
            ratio = 1.0 / self.work(prompt)
        made = self.pictures(prompt)
        if len(made) == 1:
            return self.pictures(without_inheritance(prompt))[0], made[0], ratio
        if name == "Record and replay a run":
            plain = without_inheritance(prompt)
            return self.pictures(plain)[0], made[1], ratio
        exact_first = name == "Compare fast and exact"
        return made[0 if exact_first else 1], made[1 if exact_first else 0], ratio


def small_ratio() -> float:
    """How many times less work the UNet without in.2, in.5, out.7 and out.10 is, as was measured of SD1.5."""
    rows = json.loads(ASSEMBLED.read_text(encoding="utf-8"))["rows"]
    (ratio,) = [row["arithmetic"] for row in rows if row["preset"] == "s0_s1"]
    return ratio


def twin_of(name: str) -> dict:
    prompt = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8"))
    twin = demo_twin(prompt, CAPTIONS[name], strength_model=0.3)
    for node in twin.values():
        if name in SECOND_PASSES and node["inputs"].get("denoise", 1.0) < 1.0:
            node["inputs"]["denoise"] = SECOND_PASSES[name]
    return twin


def drawn(before: Image.Image, after: Image.Image, ratio: float) -> Image.Image:
    """Side by side, with what each is in a bar below."""
    sheet = Image.new("RGB", (2 * SIDE, SIDE + BAR), "#20242b")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(26)
    for column, (picture, words) in enumerate(((before, "exact"), (after, f"{ratio:.1f}x less work"))):
        sheet.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (column * SIDE, 0))
        draw.text((column * SIDE + SIDE // 2, SIDE + BAR // 2), words, fill="white", font=font, anchor="mm")
    draw.line([(SIDE, 0), (SIDE, SIDE)], fill="white", width=2)
    return sheet


def upload(thumbnails: Thumbnails, folder: Path):
    """The picture that workflows with Load Image begin with, in the place of the host's own."""
    graph = Graph()
    image = graph.decode(graph.sample_text(graph.load_unet(), FIRST_PICTURE, steps=20), graph.load_vae())
    graph.save_image(image, "first")
    thumbnails.pictures(graph.prompt)[0].save(folder / "input" / "example.png")


def main():
    client, base = ComfyClient(os.environ["ASDM_SERVER"]), Path(os.environ["ASDM_BASE_DIRECTORY"])
    thumbnails = Thumbnails(client)
    upload(thumbnails, base)
    for name in sys.argv[1:] or CAPTIONS:
        sheet = drawn(*thumbnails.before_and_after(name, twin_of(name)))
        sheet.save(WORKFLOWS / f"{name}.jpg", quality=85, optimize=True)
        print(f"example_workflows/{name}.jpg")


if __name__ == "__main__":
    main()
