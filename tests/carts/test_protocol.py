"""The protocol as Pacifica documents it, where Creamery follows it, and where it says more."""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
import zipfile
from pathlib import Path

import pytest

from creamery import __version__
from tests.carts.conftest import FILES
from tests.doubles.carting import carting_hub, entry, head, post, ready, wait_for
from tests.doubles.running import RunningHub

ENTRIES = [entry(name, content=content) for name, content in FILES.items()]


def unpacked(content: bytes, root: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name.removeprefix(f"{root}/"): file.read() for name, file in found.items() if file is not None}


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}])
def test_a_cart_becomes_ready_and_is_downloaded(hub: RunningHub, headers: dict[str, str]) -> None:
    uid = ready(hub, ENTRIES, headers=headers)

    answer = hub.get(f"/{uid}?filename=my_cart.tar")

    assert answer.status_code == 200
    assert 'filename="my_cart.tar"' in answer.headers["content-disposition"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["accept-ranges"] == "bytes"
    assert "no-transform" in answer.headers["cache-control"]
    assert unpacked(answer.content, "my_cart") == FILES


def test_both_addresses_are_one_cart(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)

    assert hub.get(f"/{uid}?filename=x.tar").content == hub.get(f"/carts/{uid}?filename=x.tar").content
    assert hub.client.head(f"{hub.base}/carts/{uid}").status_code == 204


def test_a_ready_cart_says_so(hub: RunningHub) -> None:
    answer = head(hub, ready(hub, ENTRIES))

    total = sum(map(len, FILES.values()))
    assert answer.status_code == 204
    assert answer.headers["x-pacifica-status"] == "ready"
    assert answer.headers["x-pacifica-message"] == ""
    assert answer.headers["x-creamery-files"] == f"{len(FILES)}/{len(FILES)}"
    assert answer.headers["x-creamery-bytes"] == f"{total}/{total}"


def test_the_default_name_is_that_of_its_making(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)
    first = hub.get(f"/{uid}")
    time.sleep(1.1)
    second = hub.get(f"/{uid}")

    name = first.headers["content-disposition"].split('"')[1]
    assert time.strptime(name, "data_%Y_%m_%d_%H_%M_%S.tar")
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]
    assert unpacked(first.content, name.removesuffix(".tar")) == FILES


@pytest.mark.parametrize(("name", "root"), [("a.tar", "a"), ("a.tar.tar.gz", "a.gz"), ("data", "data"), ("ü.tar", "ü")])
def test_the_root_is_the_name_without_tar(hub: RunningHub, name: str, root: str) -> None:
    uid = ready(hub, [entry("small.txt")])

    assert unpacked(hub.get(f"/{uid}?filename={name}").content, root) == {"small.txt": b"milk\n"}


def test_a_rooted_bundle_has_the_carts_name(hub: RunningHub) -> None:
    uid = ready(hub, [entry("small.txt")], bundle=True)

    assert unpacked(hub.get(f"/{uid}?filename=x.tar").content, uid) == {"small.txt": b"milk\n"}


def test_the_hub_may_root_them_all(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, carts={"bundle_task": True}) as hub:
        uid = ready(hub, [entry("small.txt")])
        other = ready(hub, [entry("small.txt")], bundle=False)

        assert unpacked(hub.get(f"/{uid}?filename=x.tar").content, uid) == {"small.txt": b"milk\n"}
        assert unpacked(hub.get(f"/{other}?filename=x.tar").content, "x") == {"small.txt": b"milk\n"}


@pytest.mark.parametrize("name", ["a/b", "", "a%0Ab", "x" * 300])
def test_a_name_that_is_none_is_refused(hub: RunningHub, name: str) -> None:
    uid = ready(hub, [entry("small.txt")])

    assert hub.get(f"/{uid}?filename={name}").status_code == 400


def test_an_empty_cart_is_an_empty_bundle(hub: RunningHub) -> None:
    uid = post(hub, [])

    assert head(hub, uid).status_code == 204
    assert unpacked(hub.get(f"/{uid}").content, "x") == {}


def test_an_unknown_cart_is_answered_as_the_original_does(hub: RunningHub) -> None:
    uid = str(uuid.uuid4())
    status, got, deleted = head(hub, uid), hub.get(f"/{uid}"), hub.client.delete(f"{hub.base}/{uid}")

    assert status.status_code == 404
    assert status.headers["x-pacifica-status"] == "error"
    assert status.headers["x-pacifica-message"] == f"No cart with uid {uid} found"
    assert got.status_code == deleted.status_code == 404
    assert got.json() == {
        "status": "404 Not Found",
        "message": "The cart does not exist or has already been deleted",
        "traceback": "",
        "version": __version__,
    }


def test_a_deleted_cart_is_gone(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)

    answer = hub.client.delete(f"{hub.base}/{uid}")

    assert answer.json() == {"message": "Cart Deleted Successfully"}
    assert head(hub, uid).status_code == 404
    assert hub.client.delete(f"{hub.base}/{uid}").status_code == 404


def test_of_two_of_one_name_the_newer_counts_and_both_are_deleted(hub: RunningHub) -> None:
    uid = ready(hub, [entry("small.txt")])
    ready(hub, [entry("empty")], uid=uid)

    assert unpacked(hub.get(f"/{uid}?filename=x.tar").content, "x") == {"empty": b""}
    hub.client.delete(f"{hub.base}/{uid}")
    assert head(hub, uid).status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'{"fileids": [{"id": 1}]}', b'{"fileids": [{"id": 1, "path": "../x"}]}']
)
def test_a_bad_list_is_refused_in_the_envelope(hub: RunningHub, body: bytes) -> None:
    uid = str(uuid.uuid4())
    answer = hub.client.post(f"{hub.base}/{uid}", content=body)

    assert answer.status_code == 400
    assert answer.json()["status"] == "400 Bad Request"
    assert answer.json()["traceback"] == ""
    assert head(hub, uid).status_code == 404


def test_too_much_json_is_refused(tmp_path: Path, folder: Path) -> None:
    with carting_hub(tmp_path / "data", folder, limits={"cart_json_bytes": 1_000, "cart_files": 3}) as hub:
        uid = str(uuid.uuid4())
        long = hub.client.post(f"{hub.base}/{uid}", content=b" " * 1_001)
        many = hub.client.post(f"{hub.base}/{uid}", content=json.dumps({"fileids": [1, 2, 3, 4]}).encode())

    assert long.status_code == many.status_code == 413
    assert "limits.cart_json_bytes" in long.json()["message"]
    assert "limits.cart_files" in many.json()["message"]


def test_nothing_else_is_taken_at_the_root(hub: RunningHub) -> None:
    assert hub.client.post(f"{hub.base}/my_cart", content=b'{"fileids": []}').status_code == 404
    assert hub.get("/favicon.ico").status_code == 404
    assert hub.client.put(f"{hub.base}/{uuid.uuid4()}", content=b"").status_code == 405


def test_below_carts_any_name_is_taken(hub: RunningHub) -> None:
    answer = hub.client.post(f"{hub.base}/carts/my_cart", content=json.dumps({"fileids": ENTRIES}).encode())
    hub.wait_until(lambda: hub.client.head(f"{hub.base}/carts/my_cart").status_code == 204)

    assert answer.status_code == 201
    assert hub.get("/carts/my_cart").status_code == 200


def test_a_failed_cart_says_why(hub: RunningHub) -> None:
    uid = post(hub, [entry("small.txt"), entry("nowhere", "a/nowhere")])
    answer = wait_for(hub, uid)

    assert answer.status_code == 500
    assert answer.headers["x-pacifica-status"] == "error"
    assert answer.headers["x-pacifica-message"].startswith("a/nowhere: ")
    got = hub.get(f"/{uid}")
    assert got.status_code == 500
    assert got.json()["message"].startswith("a/nowhere: ")
    told = hub.get(f"/carts/{uid}/status").json()
    assert [failed["path"] for failed in told["failed"]] == ["a/nowhere"]
    assert hub.get(f"/carts/{uid}/files/small.txt").content == b"milk\n"


def test_other_bytes_than_those_named_fail(hub: RunningHub) -> None:
    uid = post(hub, [entry("small.txt"), entry("deep/er/small.txt", "other", b"other bytes")])
    answer = wait_for(hub, uid)

    assert answer.status_code == 500
    assert "File hash does not match provided hash" in answer.headers["x-pacifica-message"]


def test_what_failed_is_staged_anew(hub: RunningHub, folder: Path) -> None:
    uid = post(hub, [entry("small.txt"), entry("late.txt")])
    assert wait_for(hub, uid).status_code == 500
    (folder / "late.txt").write_bytes(b"at last")

    answer = hub.client.post(f"{hub.base}/carts/{uid}/fix")

    assert answer.status_code == 202
    assert wait_for(hub, uid).status_code == 204
    assert unpacked(hub.get(f"/{uid}?filename=x.tar").content, "x") == {"small.txt": b"milk\n", "late.txt": b"at last"}


# What the original has not


def test_a_zip_is_a_zip(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)
    answer = hub.get(f"/carts/{uid}/bundle.zip?root=here")

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {name.removeprefix("here/"): archive.read(name) for name in archive.namelist()} == FILES
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["content-type"] == "application/zip"


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_any_part_is_a_part_of_the_whole(hub: RunningHub, form: str) -> None:
    address = f"/carts/{ready(hub, ENTRIES)}/bundle.{form}"
    whole = hub.get(address)
    size = len(whole.content)
    for start, stop in [(0, 1), (0, size), (511, 513), (5, 300_000), (size - 10, size), (70_000, 70_001)]:
        part = hub.get(address, Range=f"bytes={start}-{stop - 1}")
        assert part.status_code == 206
        assert part.content == whole.content[start:stop]
        assert part.headers["etag"] == whole.headers["etag"]
    assert hub.get(address, Range=f"bytes={size}-").status_code == 416
    several = hub.get(address, Range="bytes=0-9,100-109")
    assert several.headers["content-type"].startswith("multipart/byteranges")


def test_the_bundles_head_is_honest(hub: RunningHub) -> None:
    address = f"{hub.base}/carts/{ready(hub, ENTRIES)}/bundle.tar"
    told, whole = hub.client.head(address), hub.client.get(address)

    assert told.status_code == 200
    for name in ("content-length", "etag", "content-type", "accept-ranges", "content-disposition"):
        assert told.headers[name] == whole.headers[name]
    assert hub.client.get(address, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


def test_another_shape_needs_no_staging(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)
    answer = hub.get(f"/carts/{uid}/bundle.tar?include=deep/**&include=empty&root=some")

    assert unpacked(answer.content, "some") == {"deep/er/small.txt": b"cream\n", "empty": b""}
    assert hub.get(f"/carts/{uid}/bundle.tar?root=../x").status_code == 400
    assert hub.get(f"/carts/{uid}/bundle.rar").status_code == 404


def test_the_index_says_where_each_file_lies(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)
    index = hub.get(f"/carts/{uid}/index.json").json()
    whole = hub.get(f"/carts/{uid}/bundle.tar").content

    assert index["length"] == len(whole)
    for file in index["files"]:
        content = FILES[file["path"]]
        assert whole[file["offset"] : file["offset"] + file["size"]] == content
    assert {file["path"] for file in index["files"]} == FILES.keys()


def test_one_file_is_served_alone(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)

    for name, content in FILES.items():
        assert hub.get(f"/carts/{uid}/files/{name}").content == content
    part = hub.get(f"/carts/{uid}/files/large.bin", Range="bytes=10-19")
    assert part.content == FILES["large.bin"][10:20]
    assert hub.get(f"/carts/{uid}/files/nowhere").status_code == 404
    assert hub.get(f"/carts/{uid}/files/").status_code == 404


def test_progress_has_the_lines_that_download_it(hub: RunningHub) -> None:
    uid = ready(hub, ENTRIES)
    told = hub.get(f"/carts/{uid}/status").json()

    assert told["state"] == "ready"
    assert told["files"] == told["files_here"] == len(FILES)
    assert told["bytes"] == told["bytes_here"] == sum(map(len, FILES.values()))
    assert told["seconds_left"] == 0
    for command in ("curl", "wget", "aria2c"):
        assert f"{hub.base}/carts/{uid}/bundle.tar" in told["commands"][command]


def test_events_end_with_the_staging(hub: RunningHub) -> None:
    uid = post(hub, ENTRIES)
    events = hub.get(f"/carts/{uid}/events")

    lines = [json.loads(line[6:]) for line in events.text.splitlines() if line.startswith("data: ")]
    assert events.headers["content-type"].startswith("text/event-stream")
    assert lines[-1]["state"] == "ready"
    assert len({json.dumps(line) for line in lines}) == len(lines)


def test_carts_are_listed(hub: RunningHub) -> None:
    uids = [post(hub, []) for _ in range(3)]
    carts = hub.get("/carts").json()["carts"]

    assert [cart["uid"] for cart in carts] == uids[::-1]
    older = hub.get(f"/carts?before={carts[0]['id']}").json()["carts"]
    assert [cart["uid"] for cart in older] == uids[:2][::-1]
    assert hub.get("/carts?before=x").status_code == 400
