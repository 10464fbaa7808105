"""Pictures and captions: fetches the emoji package and loads it as tensors."""
import base64
import csv
import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

DEMO_DIR = Path(__file__).resolve().parent
PACKAGE = "emoji-datasource-google"
VERSION = "15.1.2"
# npm's own integrity value of that version, so that the data cannot drift.
SHA512 = "RzBMQtclTnSDgjf/QbcNAkgZmA7al3TSnQxKJvZNwdDjOOlYdzBSmkvGYP9ZzHpBS4HBQ8IOQDsueV1YCA64LA=="
SIZE = 128  # picture side, px


def fetch_package(work_dir):
    """Fetch and unpack the pinned npm package; returns its folder."""
    work_dir = Path(work_dir)
    folder = work_dir / "package"
    if (folder / "emoji.json").is_file():
        return folder
    work_dir.mkdir(parents=True, exist_ok=True)
    archive = work_dir / f"{PACKAGE}-{VERSION}.tgz"
    if not archive.is_file():
        subprocess.run(
            ["npm", "pack", f"{PACKAGE}@{VERSION}"], cwd=work_dir, check=True
        )
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if base64.b64encode(digest).decode() != SHA512:
        raise SystemExit(f"{archive.name} does not match its pinned sha512")
    with tarfile.open(archive) as tar:
        wanted = [
            m for m in tar.getmembers()
            if m.name == "package/emoji.json" or "/img/google/64/" in m.name
        ]
        tar.extractall(work_dir, members=wanted, filter="data")
    return folder


def load_captions():
    """[(short_name, caption)] of the captioned pictures, in file order."""
    with open(DEMO_DIR / "emoji.csv", newline="", encoding="utf-8") as handle:
        return [(r["short_name"], r["caption"]) for r in csv.DictReader(handle)]


def _read_picture(path):
    """One emoji over white, Lanczos-upscaled: uint8 tensor [3, SIZE, SIZE]."""
    rgba = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    rgb = Image.alpha_composite(white, rgba).convert("RGB")
    rgb = rgb.resize((SIZE, SIZE), Image.LANCZOS)
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1).contiguous()


def _records(package_dir):
    """{short_name: emoji record} of the package."""
    text = (Path(package_dir) / "emoji.json").read_text(encoding="utf-8")
    return {record["short_name"]: record for record in json.loads(text)}


def load_captioned(package_dir):
    """(captions list of N, pictures uint8 [N, 3, SIZE, SIZE])."""
    records = _records(package_dir)
    folder = Path(package_dir) / "img" / "google" / "64"
    names = load_captions()
    pictures = [_read_picture(folder / records[s]["image"]) for s, _ in names]
    return [caption for _, caption in names], torch.stack(pictures)


def load_uncaptioned(package_dir):
    """Other pictures (no flags, no skin tones): uint8 [M, 3, SIZE, SIZE].

    Only the autoencoder sees these, so that it is not fitted to the captioned
    pictures alone.
    """
    captioned = {short_name for short_name, _ in load_captions()}
    folder = Path(package_dir) / "img" / "google" / "64"
    pictures = []
    for name, record in sorted(_records(package_dir).items()):
        if name in captioned or record["category"] in ("Flags", "Component"):
            continue
        if record["has_img_google"] and not record.get("skin_variations"):
            pictures.append(_read_picture(folder / record["image"]))
    return torch.stack(pictures)
