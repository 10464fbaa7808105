"""Writes docs/host_names.md: each name of ComfyUI's that the pack uses, and where: `host_names.py [--check]`.

A newer host that renames one of them breaks the pack at these places and nowhere else.
"""

import ast
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PAGE = REPO / "docs" / "host_names.md"
ROOM = REPO / "python_glue" / "host"
HOST = ("comfy", "comfy_aimdo", "comfy_api", "comfy_execution", "folder_paths", "nodes", "server")
HEAD = """# Names of the host

Each name of ComfyUI's that the pack uses, and the files of `python_glue/host` that use it. Made by
`python scripts/host_names.py`; a test holds it true, and that no file outside of that folder knows the host.

| name | used in |
|---|---|
"""


def imported(tree: ast.AST) -> dict[str, str]:
    """What names of a file stand for in the host: "attention" -> "comfy.ldm.modules.attention"."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in HOST:
                    root = alias.name.partition(".")[0]
                    found[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module.partition(".")[0] in HOST:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def dotted(node: ast.AST) -> list[str] | None:
    """["comfy", "ops", "cast_bias_weight"] of such an expression; None of any other."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return [*before, node.attr]
    return None


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    known = imported(tree)
    found = set()
    for node in ast.walk(tree):
        words = dotted(node)
        if words and words[0] in known:
            found.add(".".join([known[words[0]], *words[1:]]))
    found |= set(known.values()) - set(HOST)
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def page() -> str:
    places = {}
    for file in sorted(ROOM.glob("*.py")):
        for name in names_in(file):
            places.setdefault(name, []).append(file.name)
    return HEAD + "".join(f"| `{name}` | {', '.join(files)} |\n" for name, files in sorted(places.items()))


def strangers() -> list[str]:
    """Files outside of the room that know the host."""
    files = [*(REPO / "python_glue").rglob("*.py"), REPO / "__init__.py"]
    return sorted(file.relative_to(REPO).as_posix() for file in files
                  if ROOM not in file.parents and imported(ast.parse(file.read_text(encoding="utf-8"))))


def main():
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return
    if strangers():
        sys.exit(f"expected names of the host in python_glue/host alone, found some in {', '.join(strangers())}")
    if PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/host_names.md is not what the code uses; run scripts/host_names.py")


if __name__ == "__main__":
    main()
