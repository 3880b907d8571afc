"""Which indexes are asked besides a hub: found where uv and pip find them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from creamery.client import HubAddress
from creamery.client.other_indexes import OtherIndex, Unread, other_indexes, switches

HUB = HubAddress("https", "hub.example", 443, "/creamery")
SECRET = "s3cret-of-all"


def found(environ: Mapping[str, str], folder: Path, *pip: tuple[str, str, Path]) -> list[tuple[str, str, bool] | Path]:
    nowhere = {"XDG_CONFIG_DIRS": str(folder / "nowhere")}
    named = other_indexes(HUB, {**nowhere, **environ}, folder, pip)
    return [each.file if isinstance(each, Unread) else (each.address, each.option, each.is_added) for each in named]


@pytest.mark.parametrize(
    ("name", "value", "addresses", "is_added"),
    [
        ("UV_INDEX", "a=https://a/ https://b/", ["a=https://a/", "https://b/"], True),
        ("UV_EXTRA_INDEX_URL", " https://a/\thttps://b/\n", ["https://a/", "https://b/"], True),
        ("UV_FIND_LINKS", "/some folder,https://b/", ["/some folder", "https://b/"], True),
        ("PIP_EXTRA_INDEX_URL", f"https://me:{SECRET}@b/s?t={SECRET}", ["https://***@b/s?***"], True),
        ("PIP_FIND_LINKS", f"https://me:/{SECRET}@x@b/", ["https://***@b/"], True),
        ("UV_INDEX_URL", f"me:{SECRET}@b/", ["***@b/"], False),
        ("UV_DEFAULT_INDEX", f"x=https://{SECRET}@b/", ["x=https://***@b/"], False),
        ("PIP_INDEX_URL", "https://hub.example/creamery-two/", ["https://hub.example/creamery-two/"], False),
        ("UV_INDEX", "a=https://hub.example/creamery/w/i/ https://u:p@HUB.example:443/creamery", [], True),
    ],
)
def test_variables_name_them(tmp_path: Path, name: str, value: str, addresses: list[str], is_added: bool) -> None:
    assert found({name: value}, tmp_path) == [(address, name, is_added) for address in addresses]


def test_all_that_uvs_files_may_say_is_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        """
        [tool.uv]
        extra-index-url = ["https://a/"]
        find-links = ["b"]
        index-url = "https://c/"
        index = [
          { url = "https://d/" },
          { url = "https://e/", default = true },
          { url = "https://f/", explicit = true, name = "f" },
          { url = "https://hub.example/creamery/i/" },
          "nonsense",
        ]
        [tool.uv.pip]
        extra-index-url = ["https://g/"]
        """
    )

    assert found({}, tmp_path) == [
        ("https://a/", "tool.uv.extra-index-url", True),
        ("b", "tool.uv.find-links", True),
        ("https://c/", "tool.uv.index-url", False),
        ("https://d/", "tool.uv.index", True),
        ("https://e/", "tool.uv.index", False),
        ("https://g/", "tool.uv.pip.extra-index-url", True),
    ]


def write(path: Path, letter: str, table: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{table}\nfind-links = ["{letter}"]\n')


def test_of_a_projects_files_the_nearest_counts_then_the_users_and_the_systems(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    write(tmp_path / "uv.toml", "far")
    write(tmp_path / "a" / "uv.toml", "near")
    write(tmp_path / "a" / "pyproject.toml", "passed over", "[tool.uv]")
    write(below / "pyproject.toml", "another's", "[tool.other]")
    write(tmp_path / "home" / ".config" / "uv" / "uv.toml", "user")
    write(tmp_path / "one" / "uv" / "uv.toml", "system")
    write(tmp_path / "two" / "uv" / "uv.toml", "passed over")
    write(tmp_path / "named.toml", "named")
    environ = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": f"{tmp_path}/none:{tmp_path}/one:{tmp_path}/two"}

    def letters(**more: str) -> list[str]:
        return [each[0] for each in found({**environ, **more}, below) if not isinstance(each, Path)]

    assert letters() == ["near", "user", "system"]
    assert letters(XDG_CONFIG_HOME=str(tmp_path / "none")) == ["near", "system"]
    assert letters(UV_CONFIG_FILE=str(tmp_path / "named.toml")) == ["named"]
    assert letters(UV_NO_CONFIG="1") == []


@pytest.mark.parametrize("content", [b'index-url = "https://me:s3cret', b"\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)

    assert found({"UV_CONFIG_FILE": str(tmp_path / "none.toml")}, tmp_path) == [tmp_path / "none.toml"]
    assert found({}, tmp_path) == [tmp_path / "pyproject.toml"]


def test_what_pips_files_say_is_named_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    told = [("extra-index-url", "\nhttps://a/\nhttps://u:p@b/", file), ("index-url", "https://c/", file)]

    named = [each for each in other_indexes(HUB, {"UV_NO_CONFIG": "1"}, tmp_path, told) if isinstance(each, OtherIndex)]

    assert [(each.address, each.place, each.is_added) for each in named] == [
        ("https://a/", f"extra-index-url in {file}", True),
        ("https://***@b/", f"extra-index-url in {file}", True),
        ("https://c/", f"index-url in {file}", False),
    ]


def test_variables_that_keep_every_index_away_are_noticed() -> None:
    assert switches({"UV_NO_INDEX": "true", "UV_OFFLINE": "0", "PIP_NO_INDEX": "1"}) == ["UV_NO_INDEX", "PIP_NO_INDEX"]
