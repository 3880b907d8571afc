"""LOCK, UNLOCK, the If header, and what a lock keeps others from (RFC 4918 sections 6, 7, 9.10, 9.11 and 10.4)."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import httpx2
import pytest

from creamery.limits import Limits
from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub

INFO = (
    '<l:lockinfo xmlns:l="DAV:"><l:lockscope><l:{scope}/></l:lockscope><l:locktype><l:write/></l:locktype>'
    "<l:owner><l:href>mailto:alice@example</l:href></l:owner></l:lockinfo>"
)


def lock(dav: Dav, path: str, scope: str = "exclusive", **headers: str) -> httpx2.Response:
    """Ask for a lock."""
    return dav("LOCK", path, INFO.format(scope=scope), **headers)


def token_of(answer: httpx2.Response) -> str:
    """The token of a lock that was given."""
    assert answer.status_code in {200, 201}, answer.text
    found = re.fullmatch(r"<(urn:uuid:[0-9a-f-]{36})>", answer.headers["lock-token"])
    assert found is not None, answer.headers["lock-token"]
    return found[1]


def test_a_lock_tells_all_about_itself(here: Dav) -> None:
    here.put("/a")

    answer = lock(here, "/a", Timeout="Second-100")
    active = ET.fromstring(answer.text).find(".//{DAV:}activelock")

    assert answer.status_code == 200
    assert active is not None
    assert active.findtext("{DAV:}locktoken/{DAV:}href") == token_of(answer)
    assert active.findtext("{DAV:}lockroot/{DAV:}href") == f"{here.home}/a"
    assert active.findtext("{DAV:}owner/{DAV:}href") == "mailto:alice@example"
    assert (active.findtext("{DAV:}timeout"), active.findtext("{DAV:}depth")) == ("Second-100", "0")


def test_a_lock_on_nothing_makes_an_empty_file_that_stays(here: Dav) -> None:
    answer = lock(here, "/new")

    assert answer.status_code == 201
    assert here("GET", "/new").content == b""
    assert here("UNLOCK", "/new", Lock_Token=answer.headers["lock-token"]).status_code == 204
    assert here.names() == ["new"]
    assert lock(here, "/missing/new").status_code == 409


def test_what_is_locked_is_changed_by_its_token_alone(here: Dav) -> None:
    here.put("/a", "old")
    here.folder("/d")
    token = token_of(lock(here, "/a"))

    for method, headers in (
        ("PUT", {}),
        ("DELETE", {}),
        ("MOVE", {"Destination": here.base + "/b"}),
        ("PUT", {"If": "(<urn:uuid:00000000-0000-0000-0000-000000000000>) (Not <DAV:no-lock>)"}),
    ):
        answer = here(method, "/a", "new", **headers)
        assert answer.status_code == 423
        held = ET.fromstring(answer.text).findtext("{DAV:}lock-token-submitted/{DAV:}href")
        assert held == f"{here.home}/a"
    assert here.text("/a") == "old"
    assert here("PUT", "/a", "new", If=f"(<{token}>)").status_code == 204
    assert here("COPY", "/a", Destination=here.base + "/b").status_code == 201
    assert here("COPY", "/b", Destination=here.base + "/a").status_code == 423


def test_a_token_is_worth_nothing_to_somebody_else(hub: RunningHub) -> None:
    alice = Dav(hub)
    alice.put("/a")
    token = token_of(lock(alice, "/a"))
    bob = Dav(hub, "bob")
    bob.put("/a")
    bobs = token_of(lock(bob, "/a"))

    assert alice("PUT", "/a", "new", If=f"(<{bobs}>)").status_code == 412
    assert alice("PUT", "/a", "new", If=f"(<{bobs}>) (Not <{bobs}>)").status_code == 423
    assert bob("UNLOCK", "/a", Lock_Token=f"<{token}>").status_code == 409


def test_exclusive_goes_with_nothing_and_shared_with_shared(here: Dav) -> None:
    here.put("/a")
    here.put("/b")
    one, two = token_of(lock(here, "/a", "shared")), token_of(lock(here, "/a", "shared"))

    refused = lock(here, "/a")
    assert refused.status_code == 423
    assert ET.fromstring(refused.text).findtext("{DAV:}no-conflicting-lock/{DAV:}href") == f"{here.home}/a"
    assert here("PUT", "/a", "new").status_code == 423
    assert here("PUT", "/a", "new", If=f"(<{one}>)").status_code == 204
    assert here("PUT", "/a", "newer", If=f"(<{two}>)").status_code == 204
    token_of(lock(here, "/b"))
    assert lock(here, "/b", "shared").status_code == 423


def test_a_deep_lock_guards_all_that_is_and_comes_in_the_folder(here: Dav) -> None:
    here.folder("/d")
    here.folder("/d/e")
    here.put("/d/e/f")
    token = token_of(lock(here, "/d"))

    for method, path in (("PUT", "/d/e/f"), ("PUT", "/d/new"), ("MKCOL", "/d/e/g"), ("DELETE", "/d/e")):
        assert here(method, path).status_code == 423
    assert lock(here, "/d/e/f").status_code == 423
    assert here("PUT", "/d/e/f", "new", If=f"<{here.base}/d> (<{token}>)").status_code == 204
    assert here("PUT", "/d/e/f", "newer", If=f"(<{token}>)").status_code == 204
    shown = here.found("/d/e/f")[f"{here.home}/d/e/f"]["{DAV:}lockdiscovery"]
    assert shown.findtext(".//{DAV:}lockroot/{DAV:}href") == f"{here.home}/d/"


def test_a_lock_on_a_folder_alone_guards_what_comes_and_goes(here: Dav) -> None:
    here.folder("/d")
    here.put("/d/f")
    token = token_of(lock(here, "/d", Depth="0"))

    assert here("PUT", "/d/f", "new").status_code == 204
    assert here("PUT", "/d/new").status_code == 423
    assert here("DELETE", "/d/f").status_code == 423
    assert here("MOVE", "/d/f", Destination=here.base + "/f").status_code == 423
    assert here("PUT", "/d/new", If=f"<{here.base}/d> (<{token}>)").status_code == 201


def test_a_locked_member_keeps_its_folder(here: Dav) -> None:
    here.folder("/d")
    here.put("/d/f")
    lock(here, "/d/f")

    assert here("DELETE", "/d").status_code == 423
    assert here("MOVE", "/d", Destination=here.base + "/e").status_code == 423
    assert lock(here, "/d").status_code == 423
    assert lock(here, "/d", Depth="0").status_code == 200


def test_unlocking_anywhere_below_ends_the_whole_lock(here: Dav) -> None:
    here.folder("/d")
    here.put("/d/f")
    here.put("/g")
    answer = lock(here, "/d")

    wrong = here("UNLOCK", "/g", Lock_Token=answer.headers["lock-token"])
    assert (wrong.status_code, "lock-token-matches-request-uri" in wrong.text) == (409, True)
    assert here("UNLOCK", "/d/f").status_code == 400
    assert here("UNLOCK", "/d/f", Lock_Token=answer.headers["lock-token"]).status_code == 204
    assert here("PUT", "/d/f", "new").status_code == 204


def test_a_lock_ends_with_what_it_was_on(here: Dav) -> None:
    here.put("/a")
    token = token_of(lock(here, "/a"))

    assert here("MOVE", "/a", Destination=here.base + "/b", If=f"(<{token}>)").status_code == 201
    assert here("PUT", "/b", "new").status_code == 204
    assert here("PUT", "/a", "new").status_code == 201


def test_a_lock_is_renewed_by_its_token_and_by_nothing_else(here: Dav) -> None:
    here.put("/a")
    token = token_of(lock(here, "/a", Timeout="Second-10"))

    renewed = here("LOCK", "/a", If=f"(<{token}>)", Timeout="Second-500")
    assert (renewed.status_code, "lock-token" in renewed.headers) == (200, False)
    assert "Second-500" in renewed.text
    assert here("LOCK", "/a", If="(<urn:uuid:00000000-0000-0000-0000-000000000000>)").status_code == 412
    assert here("LOCK", "/a").status_code == 400


def test_an_expired_lock_counts_for_nothing(alice: Dav, hub: RunningHub) -> None:
    alice.put("/a")
    lock(alice, "/a", Timeout="Second-1")
    assert alice("PUT", "/a", "new").status_code == 423

    hub.wait_until(lambda: alice("PUT", "/a", "new").status_code == 204)

    assert lock(alice, "/a").status_code == 200


@pytest.mark.parametrize(
    ("wished", "given"),
    [
        ("Infinite, Second-4100000000", "Second-86400"),
        ("Second-99999999999999999999", "Second-86400"),
        ("Second-0", "Second-1"),
        ("nonsense", "Second-3600"),
    ],
)
def test_a_lock_lives_as_long_as_it_may(here: Dav, wished: str, given: str) -> None:
    here.put("/a")

    assert given in lock(here, "/a", Timeout=wished).text


def test_conditions_of_if_speak_of_what_they_are_tagged_with(here: Dav) -> None:
    a = here.put("/a", "one").headers["etag"]
    b = here.put("/b", "two").headers["etag"]

    assert here("PUT", "/a", "new", If=f"<{here.base}/b> ([{a}])").status_code == 412
    assert here("PUT", "/a", "new", If=f"<{here.base}/b> ([{b}])").status_code == 204
    assert here("GET", "/a", If=f"([{a}])").status_code == 412
    assert here("PUT", "/a", "new", If=f"([{a}]) (Not [{a}])").status_code == 204


def test_a_space_has_only_so_many_locks(tmp_path: object) -> None:
    assert Limits().dav_locks == 1_000
    with RunningHub(tmp_path, index={"upstreams": []}, limits={"dav_locks": 2}) as hub:  # type: ignore[arg-type]
        dav = Dav(hub)
        assert [lock(dav, f"/{number}").status_code for number in range(3)] == [201, 201, 507]
        assert dav.names() == ["0", "1"]


def test_a_copy_is_another_thing_with_the_same_bytes(here: Dav) -> None:
    here.folder("/d")
    here.folder("/d/e")
    here.put("/d/e/f", "one")

    assert here("COPY", "/d", Destination=here.base + "/c").status_code == 201
    here.put("/d/e/f", "two")

    assert here.text("/c/e/f") == "one"
    assert here("COPY", "/d", Destination=here.base + "/c", Overwrite="F").status_code == 412
    here.put("/c/only here")
    assert here("COPY", "/d", Destination=here.base + "/c").status_code == 204
    assert here.names("/c/") == ["e"]
    assert here("COPY", "/d", Destination=here.base + "/flat", Depth="0").status_code == 201
    assert here.names("/flat/") == []
    assert here("COPY", "/d", Destination=here.base + "/x", Depth="1").status_code == 400


@pytest.mark.parametrize("target", ["/d", "/%64", "/d/e/in", "/"])
def test_nothing_is_copied_onto_or_into_itself(here: Dav, target: str) -> None:
    here.folder("/d")
    here.folder("/d/e")

    assert here("COPY", "/d", Destination=here.base + target).status_code == 403
    assert here("COPY", "/d/e", Destination=here.base + "/d").status_code == 403
    assert here.names("/d/") == ["e"]
