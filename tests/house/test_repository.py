"""What stands in the repository: the product alone, good on any machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pip._internal.models.index import PyPI, TestPyPI

REPOSITORY = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "changelog", "deploy", "docs", "requirements", "scripts", "src", "tests")

REGISTRIES = (PyPI.netloc, PyPI.file_storage_domain, TestPyPI.netloc, TestPyPI.file_storage_domain)
"""Read from pip, so that this file does not hold them either."""

MACHINE_PATHS = re.compile(r"(?<![\w./~$}-])/(?:work|root|home/\w+|Users/\w+|tmp/\w+)/")
UNDONE = re.compile(r"\b(?:T[O]DO|F[I]XME|X{3})\b")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the project."""
    paths = [path for path in REPOSITORY.iterdir() if path.is_file()]
    for folder in FOLDERS:
        paths += [path for path in (REPOSITORY / folder).rglob("*") if path.is_file()]
    for path in sorted(paths):
        if "__pycache__" in path.parts or "results" in path.parts:
            continue
        try:
            yield path.relative_to(REPOSITORY), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # bytes that a test sends


def test_no_file_names_a_registry_of_packages() -> None:
    named = [str(path) for path, text in texts() if any(registry in text for registry in REGISTRIES)]

    assert named == [], "take the address from pip's constants, as settings.py does"


def test_no_file_holds_a_path_of_one_machine() -> None:
    assert [f"{path}: {found[0]}" for path, text in texts() if (found := MACHINE_PATHS.search(text))] == []


def test_nothing_is_left_undone() -> None:
    assert [str(path) for path, text in texts() if UNDONE.search(text)] == []


def test_every_link_of_a_page_leads_somewhere() -> None:
    links = [(path, link) for path, text in texts() if path.suffix == ".md" for link in LINK.findall(text)]

    lost = [
        f"{path}: {link}"
        for path, link in links
        if "://" not in link and not (REPOSITORY / path.parent / link).exists()
    ]
    assert lost == []


def test_every_page_of_the_documentation_is_found_from_its_index() -> None:
    docs = REPOSITORY / "docs"
    found, waiting = set(), [docs / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in found:
            found.add(page)
            links = LINK.findall(page.read_text(encoding="utf-8"))
            waiting += [(page.parent / link).resolve() for link in links if link.endswith(".md") and "://" not in link]

    assert set(docs.rglob("*.md")) - found == set()


def test_the_pins_have_hashes_and_no_addresses() -> None:
    for pins in (REPOSITORY / "requirements").glob("*.txt"):
        text = pins.read_text(encoding="utf-8")
        releases = re.findall(
            r"^[\w.-]+(?:\[[^\]]+\])?==\S+.*(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+", text, re.MULTILINE
        )

        assert len(releases) == len(re.findall(r"^[a-z]", text, re.MULTILINE)) > 0
        assert "://" not in text
        assert "--index" not in text
