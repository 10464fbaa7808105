"""What the benchmarks share that make the table of losses: its file, and the model and prompts that it is made of."""

import argparse
import json

from support import hosted
from support.scenes_model import scenes_model

TABLE = hosted.ROOT / "python_glue" / "host" / "losses.json"


def started(description: str, prompts: int) -> tuple:
    """(options with --write and --prompts, the pack, the model of scenes, the prompts that are asked for)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--write", action="store_true", help="put what is found into the table")
    parser.add_argument("--prompts", type=int, default=prompts, help="how many prompts to sample")
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    demo = scenes_model(pack, held_out=False)
    return options, pack, demo, demo.prompts[:options.prompts]


def put(entries: dict):
    """Into the table, beside what is there."""
    table = json.loads(TABLE.read_text(encoding="utf-8")) | entries
    TABLE.write_text(_text(table), encoding="utf-8")


def _text(table: dict) -> str:
    """A line for each entry and each site."""
    sites = ",\n".join(f"  {json.dumps(site)}" for site in table["sites"])
    lines = [f" {json.dumps(key)}: {f'[{chr(10)}{sites}]' if key == 'sites' else json.dumps(value)}"
             for key, value in table.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
