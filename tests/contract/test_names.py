"""Names of projects and files (PEP 503, PEP 427, PEP 625)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.contract import InvalidName, check_filename, normalize, parse_filename, version_text


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Flask", "flask"),
        ("zope.interface", "zope-interface"),
        ("a_-.b", "a-b"),
        ("A", "a"),
        ("0", "0"),
        ("x" * 255, "x" * 255),
    ],
)
def test_every_spelling_of_a_name_has_one_normal_form(written: str, name: str) -> None:
    assert normalize(written) == name


@pytest.mark.parametrize(
    "written",
    [
        "",
        "-a",
        "a-",
        ".",
        "..",
        "a/b",
        "a b",
        "a\n",
        "a\0",
        "\N{KELVIN SIGN}",
        "\N{LATIN SMALL LETTER DOTLESS I}",
        "x" * 256,
        "é",
    ],
)
def test_what_is_no_name_is_refused(written: str) -> None:
    with pytest.raises(InvalidName):
        normalize(written)


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,40}[A-Za-z0-9])?", fullmatch=True))
def test_normal_forms_stay_as_they_are(written: str) -> None:
    name = normalize(written)

    assert normalize(name) == name
    assert name == name.lower()


@given(st.text(max_size=300))
def test_a_file_name_that_passes_is_one_plain_segment(text: str) -> None:
    try:
        filename = check_filename(text)
    except InvalidName:
        return

    assert filename == text
    assert filename.isascii()
    assert filename.isprintable()
    assert not {"/", "\\", " ", "<", '"', "'", "%", "?", "#"} & set(filename)
    assert not filename.startswith((".", "-"))
    assert len(filename) <= 255


@pytest.mark.parametrize(
    ("filename", "project", "version", "kind"),
    [
        ("demo_pkg-1.0-py3-none-any.whl", "demo-pkg", "1.0", "wheel"),
        ("demo_pkg-1.0.tar.gz", "demo-pkg", "1.0", "sdist"),
        ("Demo.Pkg-1.0+local.1.zip", "demo-pkg", "1.0+local.1", "sdist"),
    ],
)
def test_a_distributions_name_tells_project_version_and_kind(
    filename: str, project: str, version: str, kind: str
) -> None:
    distribution = parse_filename(filename)

    assert (distribution.project, str(distribution.version), distribution.kind) == (project, version, kind)


@pytest.mark.parametrize(
    "filename", ["demo-1.0.exe", "demo.whl", "demo-1.0-py3.whl", "../demo-1.0.tar.gz", "demo.tar.gz"]
)
def test_what_is_no_distribution_is_refused(filename: str) -> None:
    with pytest.raises(InvalidName):
        parse_filename(filename)


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        ("demo-1.0-py3-none-any.whl", "demo", "1.0"),
        ("zope.interface-5.0.tar.gz", "zope-interface", "5.0"),
        ("zope_interface-5.0-dev.tar.bz2", "zope-interface", "5.0-dev"),
        ("demo-2004d.zip", "demo", "2004d"),
        ("demo-1.0-py2.7.egg", "demo", "1.0"),
        ("demo-1.0.win32-py2.7.exe", "demo", "1.0.win32"),
        ("other-1.0.tar.gz", "demo", None),
        ("demo.tar.gz", "demo", None),
    ],
)
def test_the_version_is_read_as_it_is_written(filename: str, project: str, version: str | None) -> None:
    assert version_text(filename, normalize(project)) == version
