"""Writes locales/en/nodeDefs.json from the schemas of the nodes, in the layout by which ComfyUI's front end finds the
words of a pack in other tongues: `locales.py [--check]`, where --check only looks whether the file is that of the
schemas. The other languages are written by hand, by the same keys (tests/glue/test_locales.py)."""

import json
import sys

from node_table import REPO, read_schemas

ENGLISH = REPO / "locales" / "en" / "nodeDefs.json"


def definition(node: dict) -> dict:
    """Outputs are known by their numbers."""
    return {
        "display_name": node["display_name"],
        "description": node["description"],
        "inputs": {given["name"]: {"name": given["name"], "tooltip": given["tooltip"]} for given in node["inputs"]},
        "outputs": {str(number): {"name": output["name"], "tooltip": output["tooltip"]}
                    for number, output in enumerate(node["outputs"])},
    }


def english() -> str:
    found = {node["id"]: definition(node) for node in read_schemas()}
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def main():
    wanted = english()
    if "--check" in sys.argv[1:]:
        if not ENGLISH.is_file() or ENGLISH.read_text(encoding="utf-8") != wanted:
            sys.exit("locales/en/nodeDefs.json is not that of the schemas; run scripts/locales.py, and give the other "
                     "languages what is new")
        return
    ENGLISH.parent.mkdir(parents=True, exist_ok=True)
    ENGLISH.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
