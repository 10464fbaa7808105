"""Writes the nodes' schemas of the built pack to python_glue/schemas.json, and the table of docs/nodes.md from it:
`node_table.py [--check]`, where --check only looks whether the table is that of the file.
"""

import importlib.util
import json
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PAGE = REPO / "docs" / "nodes.md"
SCHEMAS = REPO / "python_glue" / "schemas.json"
BEGIN, END = "<!-- nodes: made by scripts/node_table.py -->\n", "<!-- end of nodes -->\n"


def read_schemas() -> list[dict]:
    return json.loads(SCHEMAS.read_text(encoding="utf-8"))["nodes"]


def table(schemas: list[dict]) -> str:
    """Without inputs, which each node's page has: one more is then no change here."""
    rows = ["| node | outputs | what it does |", "|---|---|---|"]
    for node in schemas:
        outputs = ", ".join(field["name"] for field in node["outputs"])
        rows.append(f"| `{node['id']}` | {outputs} | {node['description']} |")
    return "\n".join(rows) + "\n"


def with_table(text: str, schemas: list[dict]) -> str:
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table(schemas)}{END}{tail}"


def built_schemas() -> str:
    import torch  # noqa: F401  the module links against the libraries that it loads
    (path,) = SCHEMAS.parent.glob("_native*")
    spec = importlib.util.spec_from_file_location("_native", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.schemas_json()


def main():
    text = PAGE.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        sys.exit(f"docs/nodes.md: expected the lines {BEGIN.strip()} and {END.strip()}")
    if "--check" not in sys.argv[1:]:
        SCHEMAS.write_text(built_schemas(), encoding="utf-8")
    wanted = with_table(text, read_schemas())
    if "--check" in sys.argv[1:]:
        if wanted != text:
            sys.exit("docs/nodes.md: its table of nodes is not that of the schemas; run scripts/node_table.py")
        return
    PAGE.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
