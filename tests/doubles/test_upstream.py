"""The upstream double keeps its word, in good behaviour and in bad."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.distributions import metadata_of
from tests.doubles.listing import HTML, JSON
from tests.doubles.upstream import (
    Upstream,
    close_at,
    drip,
    garbage,
    lie_about_length,
    no_range,
    redirect_to,
    refuse,
    status,
    without_length,
    wrong_bytes,
)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


def ask(host: str, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_a_page_has_all_fields_of_api_1_4(upstream: Upstream) -> None:
    made = upstream.add("Six", "1.0", requires_python=">=3.8", yanked="broken", provenance="https://example.org/p")
    upstream.set_status("six", "archived", "done")

    code, headers, body = ask(upstream.host, "/simple/six/", Accept=JSON)

    page = json.loads(body)
    assert (code, headers["Content-Type"]) == (200, JSON)
    assert page["project-status"] == {"status": "archived", "reason": "done"}
    line = page["files"][0]
    assert line["filename"] == made.filename == "six-1.0-py3-none-any.whl"
    assert line["url"] == upstream.url_of(made.filename)
    assert line["hashes"] == {"sha256": made.sha256}
    assert line["size"] == len(made.content)
    assert line["requires-python"] == ">=3.8"
    assert line["yanked"] == "broken"
    assert line["provenance"] == "https://example.org/p"
    assert set(line["core-metadata"]) == {"sha256"}


def test_a_page_is_html_where_nothing_else_is_spoken() -> None:
    with Upstream(json=False, hashes=False) as upstream:
        upstream.add("six", "1.0", requires_python=">=3.8")

        _, headers, body = ask(upstream.host, "/simple/six/", Accept=f"{JSON}, {HTML};q=0.1")

    assert headers["Content-Type"] == HTML
    assert b'data-requires-python="&gt;=3.8"' in body
    assert b"#sha256=" not in body


def test_conditions_are_answered_with_304_until_the_page_changes(upstream: Upstream) -> None:
    upstream.add("six", "1.0")
    _, headers, _ = ask(upstream.host, "/simple/six/", Accept=JSON)

    unchanged, _, nothing = ask(upstream.host, "/simple/six/", Accept=JSON, If_None_Match=headers["ETag"])
    upstream.add("six", "1.1")
    changed, _, _ = ask(upstream.host, "/simple/six/", Accept=JSON, If_None_Match=headers["ETag"])

    assert (unchanged, nothing, changed) == (304, b"", 200)
    assert len(upstream.conditional) == 2


def test_pages_are_compressed_for_those_who_accept_it(upstream: Upstream) -> None:
    upstream.add_many("numpy", files=100)

    _, headers, body = ask(upstream.host, "/simple/numpy/", Accept=JSON, Accept_Encoding="gzip")

    assert headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(body))["files"]) == 100


@pytest.mark.parametrize(
    ("asked", "code", "start", "stop"),
    [("bytes=0-9", 206, 0, 10), ("bytes=-5", 206, -5, None), ("bytes=7-", 206, 7, None), ("bytes=9999999-", 416, 0, 0)],
)
def test_files_are_served_in_ranges(upstream: Upstream, asked: str, code: int, start: int, stop: int | None) -> None:
    made = upstream.add("six", "1.0")

    found, _, body = ask(upstream.files_host, upstream.path_of(made.filename), Range=asked)

    assert found == code
    assert code == 416 or body == made.content[start:stop]


def test_metadata_lies_beside_the_wheel(upstream: Upstream) -> None:
    made = upstream.add("six", "1.0", requires=["attrs>=1"])

    code, _, body = ask(upstream.files_host, upstream.path_of(made.filename) + ".metadata")

    assert (code, body) == (200, metadata_of(made.content))
    assert b"Requires-Dist: attrs>=1" in body


def test_files_come_from_a_second_host() -> None:
    with Upstream(second_host=True) as upstream:
        made = upstream.add("six", "1.0")

        code, _, body = ask(upstream.files_host, upstream.path_of(made.filename), "HEAD")

        assert upstream.files_host != upstream.host
        assert (code, body) == (200, b"")
        assert [seen.place for seen in upstream.requests("/packages/")] == [1]


def test_other_spellings_are_redirected_and_unknown_names_are_not_found(upstream: Upstream) -> None:
    upstream.add("zope-interface", "1.0")

    moved, headers, _ = ask(upstream.host, "/simple/Zope.Interface/")
    unknown, _, _ = ask(upstream.host, "/simple/nothing/")

    assert (moved, headers["Location"], unknown) == (301, "/simple/zope-interface/", 404)


def test_it_misbehaves_so_many_times_and_then_no_more(upstream: Upstream) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave("/simple/*", status(503, Retry_After="7"), times=2)

    codes = [ask(upstream.host, "/simple/six/")[0] for _ in range(3)]

    assert codes == [503, 503, 200]
    assert upstream.count("/simple/six/") == 3


def test_it_breaks_off_and_lies(upstream: Upstream) -> None:
    made = upstream.add("six", "1.0", size=100_000)
    path = upstream.path_of(made.filename)

    for misbehaviour in (close_at(0.99), lie_about_length(10)):
        upstream.misbehave(path, misbehaviour, once=True)
        with pytest.raises(http.client.IncompleteRead):
            ask(upstream.files_host, path)
    upstream.misbehave(path, lie_about_length(-10), once=True)
    assert ask(upstream.files_host, path)[2] == made.content[:-10]
    upstream.misbehave(path, wrong_bytes(), once=True)
    wrong = ask(upstream.files_host, path)[2]

    assert len(wrong) == len(made.content)
    assert wrong != made.content
    assert ask(upstream.files_host, path)[2] == made.content


def test_it_cuts_the_connection_or_talks_nonsense(upstream: Upstream) -> None:
    upstream.misbehave("/simple/", refuse(), once=True)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        ask(upstream.host, "/simple/")
    upstream.misbehave("/simple/", garbage(), once=True)

    with pytest.raises(http.client.HTTPException):
        ask(upstream.host, "/simple/")


def test_it_ignores_ranges_and_hides_lengths_and_redirects(upstream: Upstream) -> None:
    made = upstream.add("six", "1.0")
    path = upstream.path_of(made.filename)

    upstream.misbehave(path, no_range(), once=True)
    assert ask(upstream.files_host, path, Range="bytes=0-9")[::2] == (200, made.content)
    upstream.misbehave(path, without_length(), once=True)
    _, headers, body = ask(upstream.files_host, path)
    assert (headers["Content-Length"], body) == (None, made.content)
    upstream.misbehave(path, redirect_to("http://127.0.0.1:1/"), once=True)
    code, headers, _ = ask(upstream.files_host, path)

    assert (code, headers["Location"]) == (302, "http://127.0.0.1:1/")


def test_it_drips(upstream: Upstream) -> None:
    made = upstream.add("six", "1.0")
    path = upstream.path_of(made.filename)
    upstream.misbehave(path, drip(10 * len(made.content)))

    _, _, body = ask(upstream.files_host, path)

    assert body == made.content


def test_it_is_unplugged_and_comes_back_on_the_same_port(upstream: Upstream) -> None:
    url = upstream.url
    upstream.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(upstream.host, "/simple/")

    upstream.start()

    assert ask(upstream.host, "/simple/")[0] == 200
    assert upstream.url == url


def test_nobody_else_is_given_its_port_while_it_is_unplugged(upstream: Upstream) -> None:
    upstream.stop()

    with contextlib.ExitStack() as held:
        others = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(200)]
        ports = {other.getsockname()[1] for other in others}

    assert int(upstream.host.partition(":")[2]) not in ports


def test_its_sdist_is_one(upstream: Upstream) -> None:
    made = upstream.add("zope.interface", "1.0", "sdist", size=10)

    with tarfile.open(fileobj=io.BytesIO(made.content)) as archive:
        names = archive.getnames()

    assert made.filename == "zope_interface-1.0.tar.gz"
    assert "zope_interface-1.0/PKG-INFO" in names


def test_its_wheel_records_every_member(upstream: Upstream) -> None:
    made = upstream.add("six", "1.0", size=1000)

    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        recorded = {line.split(",")[0] for line in archive.read("six-1.0.dist-info/RECORD").decode().splitlines()}
        assert recorded == set(archive.namelist())


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.doubles.upstream", "--wheel", "six==1.0:1000", "--many", "numpy:10"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=environment) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        host = url.split("/")[2]

        code, _, body = ask(host, "/simple/numpy/", Accept=JSON)
        process.terminate()
        process.wait(10)

    assert (code, len(json.loads(body)["files"])) == (200, 10)
