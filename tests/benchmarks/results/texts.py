"""The texts that stored results are told in: docs/benchmarks.md, and the README's table of hosts."""

from . import hosts, page, stored

README = stored.FOLDER.parents[1] / "README.md"
BEGIN = "<!-- hosts: made by scripts/bench.sh hosts -->\n"
END = "<!-- end of hosts -->\n"


def with_hosts(text: str, results: dict[str, dict]) -> str:
    """The README's `text` with the table of these results. ValueError where it has no place for it."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name}: expected the lines {BEGIN.strip()} and {END.strip()}, got neither or one")
    made = hosts.readme_table(results["hosts"]) + "\n" if "hosts" in results else ""
    return f"{head}{BEGIN}{made}{END}{tail}"


def write(results: dict[str, dict]):
    stored.FOLDER.with_suffix(".md").write_text(page.page(results), encoding="utf-8")
    README.write_text(with_hosts(README.read_text(encoding="utf-8"), results), encoding="utf-8")
