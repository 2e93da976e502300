"""RESULTS.md: what each benchmark wrote of itself, one after the other."""

from pathlib import Path

PARTS = ("losses", "corrupt", "confident", "estimators", "audit", "ece", "temperature", "smooth-ece", "coverage")
HEAD = """# Benchmarks

Written by `make bench` and the modules of this directory, never by hand; each part says when, and on which machine.
"""


def put(folder: Path, name: str, text: str) -> Path:
    """Write a part and the page of all parts there are; return the page."""
    if name not in PARTS:
        raise ValueError(f"name: one of {', '.join(PARTS)}; got '{name}'")
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    (parts / f"{name}.md").write_text(text.strip() + "\n", encoding="utf-8")
    found = [path.read_text(encoding="utf-8") for part in PARTS if (path := parts / f"{part}.md").exists()]
    page = folder / "RESULTS.md"
    page.write_text("\n".join([HEAD, *found]), encoding="utf-8")
    return page
