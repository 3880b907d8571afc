"""The key of a built wheel: the vectors that clients of any make can check themselves against, and what is no build."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from creamery.contract import BadBuild, declared, key_of_name, read_build

VECTORS = json.loads(Path(__file__).with_name("build_keys.json").read_text())
PLAIN: dict[str, Any] = VECTORS[0]["build"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_each_build_has_the_key_of_its_vector(vector: dict[str, Any]) -> None:
    build = read_build(vector["build"])

    assert build.key() == vector["key"]
    assert build.is_neutral == vector["neutral"]
    assert read_build(build.to_json()) == build


def test_the_key_is_the_sha256_of_the_canonical_form() -> None:
    written = (
        '{"environment":{},"platform":{"architecture":"x86_64","libc":"glibc 2.36","system":"linux"},'
        '"python":{"abi":"cp311","tag":"cp311"},"requirements":{},"schema":1,"settings":{},'
        f'"source":{{"kind":"sdist","sha256":"{"a" * 64}"}}}}'
    )

    assert read_build(PLAIN).key() == hashlib.sha256(written.encode()).hexdigest()


def test_vectors_differ_where_builds_do() -> None:
    keys = [vector["key"] for vector in VECTORS]
    alike = {vector["like"] for vector in VECTORS if "like" in vector}

    assert len(set(keys)) == len([vector for vector in VECTORS if "like" not in vector])
    assert alike <= {vector["name"] for vector in VECTORS}
    assert all(
        vector["key"] == next(other["key"] for other in VECTORS if other["name"] == vector["like"])
        for vector in VECTORS
        if "like" in vector
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"extra": 1}, "extra"),
        ({"schema": 2}, "schema"),
        ({"source": None}, "build.source"),
        ({"source": {"kind": "sdist", "sha256": "beef"}}, "build.source.sha256"),
        ({"source": {"kind": "git", "sha256": "a" * 64}}, "build.source.kind"),
        ({"source": {"kind": [], "sha256": "a" * 64}}, "build.source.kind"),
        ({"python": {"tag": "cp311"}}, "abi"),
        ({"python": {"tag": "CP 311", "abi": "cp311"}}, "build.python.tag"),
        ({"platform": {"system": "linux", "architecture": "x86_64", "libc": "2.36"}}, "build.platform.libc"),
        ({"settings": {"a": 1}}, "build.settings"),
        ({"settings": {"a": ["\ud800"]}}, "half a character"),
        ({"settings": []}, "build.settings"),
        ({"environment": {"A B": "1"}}, "A B"),
        ({"environment": {"CC": 1}}, "build.environment.CC"),
        ({"requirements": {"numpy": "new"}}, "build.requirements"),
        ({"requirements": {"-": "1"}}, "build.requirements"),
    ],
)
def test_what_is_no_build_is_refused_by_the_name_of_its_field(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BadBuild, match=named.replace(".", r"\.")):
        read_build(PLAIN | change)


@pytest.mark.parametrize("said", [None, [], "build", 1])
def test_what_is_no_object_is_refused(said: object) -> None:
    with pytest.raises(BadBuild, match="build is no object"):
        read_build(said)


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        ("ccache gcc", "gcc"),
        ("/usr/bin/sccache   clang  -m32", "clang -m32"),
        ("ccache", "ccache"),
        ("-O2  -g0 -ffile-prefix-map=/tmp/x=. -march=native", "-O2 -march=native"),
        ("-g -fdebug-prefix-map=/a=/b", None),
        ("  ", None),
        ("-DNAME='a b'", "'-DNAME=a b'"),
        ("it's", "it's"),
    ],
)
def test_of_a_variable_counts_what_changes_the_bytes(value: str, counts: str | None) -> None:
    assert declared({"CFLAGS": value, "HOME": "/root"}) == ({} if counts is None else {"CFLAGS": counts})


def test_a_name_has_a_key_of_its_own() -> None:
    assert key_of_name("acme-1.0-py3-none-any.whl") != key_of_name("acme-1.1-py3-none-any.whl")
