"""The drawings that scenes are made of: fetches several vendors' emoji as SVG and rasterises those of the objects."""
import base64
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple

import resvg_py
from PIL import Image
from scene_captions import load_objects

SIDE = 128  # of a rasterised drawing, px: more than any scene shows


class Vendor(NamedTuple):
    """An npm package of one vendor's emoji; `sha512` is npm's own integrity value, so that the data cannot drift."""

    name: str
    version: str
    sha512: str


# All under licences that ask for no more than a notice: see LICENSES.md.
VENDORS = (
    Vendor("noto", "1.2.9",
           "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw=="),
    Vendor("twemoji", "1.2.5",
           "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw=="),
    Vendor("fluent-emoji-flat", "1.2.6",
           "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw=="),
)


def _fetch(vendor, work_dir):
    """Fetch the vendor's package unless it is there; returns its icon set."""
    archive = work_dir / f"iconify-json-{vendor.name}-{vendor.version}.tgz"
    if not archive.is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"@iconify-json/{vendor.name}@{vendor.version}"],
                       cwd=work_dir, check=True)
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != vendor.sha512:
        raise SystemExit(f"{archive}: expected sha512 {vendor.sha512}, got {digest}")
    with tarfile.open(archive) as tar:
        return json.load(tar.extractfile("package/icons.json"))


def _rasterise(icons, name):
    """RGBA picture, SIDE px wide and high, of an icon of the set."""
    if name not in icons["icons"]:
        raise SystemExit(f"icon set {icons['prefix']}: no icon '{name}' (scene_objects.csv)")
    icon = icons["icons"][name]
    box = [icon.get("left", 0), icon.get("top", 0),
           *(icon.get(side, icons.get(side, 16)) for side in ("width", "height"))]
    view_box = " ".join(map(str, box))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view_box}">{icon["body"]}</svg>'
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, skip_system_fonts=True))
    return Image.open(io.BytesIO(png)).convert("RGBA")


def trim(picture):
    """The drawing without its transparent margin, in the middle of the smallest square that holds it."""
    drawing = picture.crop(picture.getchannel("A").getbbox())
    side = max(drawing.size)
    square = Image.new("RGBA", (side, side))
    square.paste(drawing, ((side - drawing.width) // 2, (side - drawing.height) // 2))
    return square


def load_drawings(work_dir):
    """{word: [an RGBA picture of each vendor]}."""
    sets = [_fetch(vendor, Path(work_dir)) for vendor in VENDORS]
    return {word: [_rasterise(icons, name) for icons in sets] for word, name in load_objects().items()}
