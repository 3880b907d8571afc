"""Wheels by the keys of their builds: what is taken, found, refused; what of many keys; what a build has said."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from creamery.accounts import Scope
from creamery.journal import since
from tests.doubles.building import SOURCE, build_of, key_of, put_entry
from tests.doubles.distributions import wheel
from tests.doubles.pushing import push
from tests.doubles.running import RunningHub
from tests.doubles.uploading import Auth, token_of

PURE = wheel("acme", "1.0")
NATIVE = wheel("acme", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
KEY = key_of(build_of())
OF_MUSL = build_of(platform={"system": "linux", "architecture": "x86_64", "libc": "musl 1.2"})


def test_a_wheel_is_found_by_its_key_with_its_record_and_its_log(hub: RunningHub, alice: Auth) -> None:
    put = put_entry(hub, PURE, alice, log="cc -O2 ...\nwarning: ünused\n")
    found = hub.get(f"/w/v1/entries/{KEY}").json()

    assert put.status_code == 201
    assert put.json() == {"outcome": "new", "key": KEY, "sha256": PURE.sha256, "ring": "main"}
    assert (found["filename"], found["sha256"], found["size"]) == (PURE.filename, PURE.sha256, len(PURE.content))
    assert (found["pushed_by"].split()[0], found["seconds"], found["listing"]["state"]) == ("alice", 12.5, "listed")
    assert found["record"]["build"]["source"] == {"kind": "sdist", "sha256": SOURCE}
    assert hub.client.get(found["url"]).content == PURE.content
    assert hub.client.get(found["log"]).text == "cc -O2 ...\nwarning: ünused\n"
    entries = hub.ask(lambda connection: since(connection, 0, 100))
    assert [entry.detail["key"] for entry in entries if entry.door == "wheels"] == [KEY]


def test_the_same_once_more_is_welcome_and_other_bytes_are_a_conflict(hub: RunningHub, alice: Auth) -> None:
    put_entry(hub, PURE, alice)
    bob = token_of(hub, "bob", [Scope("wheels:push")])
    other = wheel("acme", "1.0", size=10)

    again, refused = put_entry(hub, PURE, bob), put_entry(hub, other, bob)

    assert (again.status_code, again.json()["outcome"]) == (200, "same")
    assert refused.status_code == 409
    assert PURE.sha256 in refused.text
    assert other.sha256 in refused.text
    assert hub.get(f"/w/v1/entries/{KEY}").json()["sha256"] == PURE.sha256
    assert hub.metric("wheels_conflicts_total") == 1
    conflicts = [e for e in hub.ask(lambda c: since(c, 0, 100)) if e.action == "conflict"]
    assert [(e.subject, e.actor.split()[0], e.detail["sha256"]) for e in conflicts] == [
        (PURE.filename, "bob", other.sha256)
    ]


def test_two_wheels_of_one_name_and_different_keys_live_side_by_side(hub: RunningHub, alice: Auth) -> None:
    tuned = wheel("acme", "1.0", size=10)
    flags = build_of(environment={"CFLAGS": "-march=native"})
    put_entry(hub, PURE, alice)
    put_entry(hub, tuned, alice, flags)

    for made, build in ((PURE, build_of()), (tuned, flags)):
        found = hub.get(f"/w/v1/entries/{key_of(build)}").json()
        assert hub.client.get(found["url"]).content == made.content
    assert hub.get(f"/w/p/{PURE.filename}").content == PURE.content


@pytest.mark.parametrize(
    ("lie", "word"),
    [
        ({"record": "{"}, "no JSON"),
        ({"record": {"schema": 1, "build": build_of(), "cost": 1}}, "cost"),
        ({"record": {"schema": 2, "build": build_of()}}, "schema"),
        ({"record": {"schema": 1, "build": build_of(colour="red")}}, "colour"),
        ({"record": {"schema": 1}}, "build"),
        ({"provenance": {"seconds": -1}}, "provenance.seconds"),
        ({"provenance": {"secret": "x"}}, "provenance.secret"),
        ({"key": "6" * 64}, "6" * 64),
        ({"filename": "other-1.0-py3-none-any.whl"}, "other"),
        ({"filename": "acme-2.0-py3-none-any.whl"}, "2.0"),
        ({"filename": "acme-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"}, "wheel tags"),
        ({"filename": "acme-1.0-cp310-cp310-manylinux_2_17_x86_64.whl"}, "another interpreter"),
        ({"filename": "acme-1.0-cp311-cp311-manylinux_2_17_aarch64.whl"}, "another platform"),
        ({"filename": "acme-1.0-cp311-cp311-macosx_11_0_x86_64.whl"}, "another platform"),
        ({"filename": "acme-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"}, "glibc 2.36"),
        ({"filename": "acme-1.0-cp311-cp311-manylinux_2_37_x86_64.whl"}, "glibc 2.36"),
        ({"filename": "acme-1.0-cp311-cp311-manylinux2014_x86_64.whl", "build": OF_MUSL}, "musl 1.2"),
        ({"filename": "acme-1.0-cp312-abi3-manylinux_2_17_x86_64.whl"}, "another interpreter"),
        ({"filename": "acme-1.0.tar.gz"}, ".whl"),
        ({"filename": "../acme-1.0-py3-none-any.whl"}, "file name"),
        ({"content": PURE.content[:-30]}, "zip"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(one_hub: RunningHub, lie: dict[str, Any], word: str) -> None:
    refused = put_entry(one_hub, PURE, token_of(one_hub, "alice", [Scope("wheels:push")]), **lie)

    assert refused.status_code == 400
    assert word in refused.text
    assert one_hub.get("/w/api/").json() == []
    assert not list((one_hub.settings.data / "incoming").iterdir())


@pytest.mark.parametrize(
    ("tag", "build"),
    [
        ("cp311-cp311-manylinux_2_36_x86_64", build_of()),
        ("cp311-cp311-linux_x86_64", build_of()),
        ("cp39-abi3-musllinux_1_2_x86_64", OF_MUSL),
        ("cp311-cp311-manylinux_2_5_x86_64.musllinux_1_1_x86_64", OF_MUSL),
    ],
)
def test_a_wheel_for_what_its_record_names_is_taken(
    hub: RunningHub, alice: Auth, tag: str, build: dict[str, Any]
) -> None:
    assert put_entry(hub, wheel("acme", "1.0", tag=tag), alice, build).status_code == 201


def test_a_log_that_is_too_long_is_refused_and_nothing_is_listed(hub: RunningHub, alice: Auth) -> None:
    refused = put_entry(hub, PURE, alice, log="x" * (hub.settings.limits.form_field_bytes + 1))

    assert refused.status_code == 413
    assert "'log'" in refused.text
    assert hub.get("/w/api/").json() == []


def test_a_push_that_breaks_off_leaves_nothing(hub: RunningHub, alice: Auth) -> None:
    def broken() -> Any:
        yield b"--b\r\nContent-Disposition: form-data; name=wheel; filename=" + PURE.filename.encode()
        yield b"\r\n\r\n" + PURE.content
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        hub.client.put(
            f"{hub.base}/w/v1/entries/{KEY}",
            content=broken(),
            auth=alice,
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )

    hub.wait_until(lambda: not list((hub.settings.data / "incoming").iterdir()))
    assert hub.get(f"/w/v1/entries/{KEY}").status_code == 404


def test_many_keys_are_looked_up_at_once(hub: RunningHub, alice: Auth) -> None:
    put_entry(hub, PURE, alice)
    other = "7" * 64

    answer = hub.client.post(f"{hub.base}/w/v1/lookup", json={"keys": [KEY, other, KEY.upper()]}).json()["keys"]

    assert set(answer) == {KEY, other}
    assert answer[other] == {"state": "miss"}
    assert (answer[KEY]["state"], answer[KEY]["sha256"]) == ("hit", PURE.sha256)
    assert hub.client.get(answer[KEY]["url"]).content == PURE.content
    assert hub.metric("wheels_asked_total", result="hit") == 1
    assert hub.metric("wheels_asked_total", result="miss") == 1


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ("[]", 400, "keys"),
        ("{", 400, "JSON"),
        ('{"keys": 1}', 400, "keys"),
        ('{"keys": [], "more": 1}', 400, "keys"),
        ('{"keys": ["beef"]}', 400, "beef"),
        ('{"keys": [1]}', 400, "1"),
        ('{"keys": [' + ",".join(['"' + "1" * 64 + '"'] * 1_001) + "]}", 413, "limits.wheel_keys"),
        ('{"keys": ["' + "1" * 100_000 + '"]}', 413, "limits.wheel_keys"),
    ],
)
def test_a_question_that_is_none_is_refused(one_hub: RunningHub, body: str, status: int, word: str) -> None:
    refused = one_hub.client.post(f"{one_hub.base}/w/v1/lookup", content=body)

    assert refused.status_code == status
    assert word in refused.text


@pytest.mark.parametrize("path", ["entries/beef", "entries/" + "1" * 64, "failures/" + "1" * 64])
def test_what_is_not_here_is_404(one_hub: RunningHub, path: str) -> None:
    assert one_hub.get(f"/w/v1/{path}").status_code == 404
    assert one_hub.get(f"/w/v1/{path}/log").status_code == 404


def test_of_many_that_bring_one_key_at_once_one_is_first(hub: RunningHub, alice: Auth) -> None:
    made = [wheel("acme", "1.0", size=1_000 * (1 + number // 2)) for number in range(6)]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: answers.append(put_entry(hub, each, alice).status_code))
        for each in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200, 201, 409, 409, 409, 409]


def test_what_was_pushed_by_its_name_goes_first_under_it(hub: RunningHub, alice: Auth) -> None:
    named = wheel("acme", "1.0", size=10)
    put_entry(hub, PURE, alice)

    assert push(hub, named, alice).status_code == 200
    assert hub.get(f"/w/p/{PURE.filename}").content == named.content
    assert len(hub.get("/w/api/acme").json()[0]["urls"]) == 1


def test_who_may_not_push_is_told(hub: RunningHub) -> None:
    assert put_entry(hub, PURE, None).status_code == 401
    assert put_entry(hub, PURE, token_of(hub, "carol", [Scope("index:read")])).status_code == 403
