"""GET, PUT, MKCOL, DELETE, MOVE: what RFC 4918 and 9110 ask, and what clients would lose otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from creamery.hive.dav.documents import Documents
from creamery.limits import Limits
from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub

BAD_NAMES = ["%00", "a%01", "a%7f", "%ff", "a%2fb", "%zz", "..", "%2e%2e", "b//c", "x" * 256, "%ef%bf%be"]


def test_a_new_file_is_201_and_other_bytes_204(here: Dav) -> None:
    assert here("PUT", "/a", "one").status_code == 201
    assert here("PUT", "/a", "two").status_code == 204
    assert here.text("/a") == "two"


def test_a_put_tells_the_etag_that_get_head_and_propfind_tell(here: Dav) -> None:
    told = here.put("/a", "one").headers["etag"]

    assert re.fullmatch(r'"[^"]+"', told)
    assert here("GET", "/a").headers["etag"] == told
    assert here("HEAD", "/a").headers["etag"] == told
    assert here.found("/a")[f"{here.home}/a"]["{DAV:}getetag"].text == told


def test_other_bytes_have_another_etag_and_the_same_ones_have_not(here: Dav) -> None:
    first = here.put("/a", "one").headers["etag"]

    assert here.put("/a", "one").headers["etag"] == first
    assert here.put("/a", "two").headers["etag"] != first


def test_a_change_changes_the_etag_of_every_folder_above_and_of_no_other(here: Dav) -> None:
    here.folder("/a")
    here.folder("/a/b")
    here.folder("/other")

    def etags() -> dict[str, str]:
        return {
            path: here.found(path)[f"{here.home}{path}/"]["{DAV:}getetag"].text for path in ("/a", "/a/b", "/other")
        }

    before = etags()
    here.put("/a/b/file")
    after = etags()

    assert [path for path in before if before[path] != after[path]] == ["/a", "/a/b"]


def test_an_empty_file_is_a_file(here: Dav) -> None:
    assert here("PUT", "/empty", b"").status_code == 201
    assert here("GET", "/empty").headers["content-length"] == "0"


def test_a_file_whose_length_is_not_told_arrives_whole(here: Dav) -> None:
    answer = here.raw(
        "PUT {home}/chunked HTTP/1.1\nTransfer-Encoding: chunked", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    )

    assert b" 201 " in answer.split(b"\r\n")[0]
    assert here.text("/chunked") == "hello world"


def test_finders_length_is_believed_where_it_is_right(here: Dav) -> None:
    assert here("PUT", "/right", "12345", X_Expected_Entity_Length="5").status_code == 201
    assert here("PUT", "/wrong", "1234", X_Expected_Entity_Length="5").status_code == 400
    assert here("GET", "/wrong").status_code == 404


def test_a_broken_body_leaves_what_was_there(here: Dav) -> None:
    here.put("/kept", "old")

    answer = here.raw("PUT {home}/kept HTTP/1.1\nTransfer-Encoding: chunked", b"5\r\nhello\r\nzz\r\n")

    assert b" 400 " in answer.split(b"\r\n")[0]
    assert here.text("/kept") == "old"


def test_a_part_of_a_file_is_no_file(here: Dav) -> None:
    here.put("/a", "old")

    assert here("PUT", "/a", "new", Content_Range="bytes 0-2/10").status_code == 400
    assert here.text("/a") == "old"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/missing/a", 409),
        ("PUT", "/file/below", 409),
        ("PUT", "/folder", 405),
        ("PUT", "/new/", 409),
        ("MKCOL", "/missing/a", 409),
        ("MKCOL", "/file", 405),
        ("MKCOL", "/folder", 405),
        ("MKCOL", "/file/below", 409),
        ("GET", "/missing", 404),
        ("GET", "/file/", 404),
        ("GET", "/folder", 405),
        ("DELETE", "/missing", 404),
        ("MOVE", "/missing", 404),
        ("PROPFIND", "/missing/", 404),
        ("PROPFIND", "/file/", 404),
    ],
)
def test_what_cannot_be_is_told_by_its_status(here: Dav, method: str, path: str, status: int) -> None:
    here.folder("/folder")
    here.put("/file")
    headers = {"Destination": here.home + "/elsewhere"} if method == "MOVE" else {}

    assert here(method, path, **headers).status_code == status


def test_a_folder_with_a_body_that_is_no_xml_is_415(here: Dav) -> None:
    assert here("MKCOL", "/a", "whatever", Content_Type="text/plain").status_code == 415
    assert here("GET", "/a").status_code == 404


def test_an_error_is_xml_with_a_sentence(here: Dav) -> None:
    answer = here("GET", "/missing")

    assert answer.headers["content-type"] == "application/xml; charset=utf-8"
    assert answer.text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<d:error xmlns:d="DAV:"')
    assert "<s:message>There is nothing called" in answer.text


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_no_listing_could_show_is_refused(here: Dav, name: str) -> None:
    answer = here.raw(f"PUT {{home}}/{name} HTTP/1.1\nContent-Length: 1", b"x")

    assert b" 400 " in answer.split(b"\r\n")[0], answer
    assert here.names() == []


@pytest.mark.parametrize("name", ["a+b", "a%2520b", "a%25", "%C3%A4", "a&b<c>", "x" * 255, "a%5Cb", "~'()*!$,;=:@"])
def test_a_name_comes_back_as_it_was_sent(here: Dav, name: str) -> None:
    answer = here.raw(f"PUT {{home}}/{name} HTTP/1.1\nContent-Length: 1", b"x")

    assert b" 201 " in answer.split(b"\r\n")[0], answer
    [href] = [href for href in here.found("/", "1") if not href.endswith("/")]
    assert b" 200 " in here.raw(f"GET {href} HTTP/1.1").split(b"\r\n")[0]


def test_what_a_mac_writes_is_found_by_what_others_write(here: Dav) -> None:
    composed, decomposed = "%C3%A4", "a%CC%88"
    here.put(f"/{decomposed}", "one")

    assert here.text(f"/{composed}") == "one"
    assert here("PUT", f"/{composed}", "two").status_code == 204
    assert [href.rpartition("/")[2] for href in here.found("/", "1")][1:] == [decomposed]


def test_conditions_hold_or_nothing_is_touched(here: Dav) -> None:
    etag = here.put("/a", "one").headers["etag"]

    assert here("PUT", "/a", "two", If_None_Match="*").status_code == 412
    assert here("PUT", "/a", "two", If_Match='"other"').status_code == 412
    assert here("PUT", "/new", "two", If_Match="*").status_code == 412
    assert here("DELETE", "/a", If_Match='"other"').status_code == 412
    assert here("MOVE", "/a", Destination=here.home + "/b", If_Match='"other"').status_code == 412
    assert here("PUT", "/a", "two", If='(["other"])').status_code == 412
    assert here.names() == ["a"]
    assert here.text("/a") == "one"
    assert here("PUT", "/a", "two", If_Match=etag).status_code == 204


def test_what_is_no_entity_tag_matches_nothing(here: Dav) -> None:
    assert here("PUT", "/a", "one", If_None_Match="JoplinIgnore-123").status_code == 201
    assert here("PUT", "/a", "two", If_None_Match="JoplinIgnore-123").status_code == 204


@pytest.mark.parametrize("header", ["(", "()", "(<urn:x>", "<a> (<b>) (", "no list at all"])
def test_a_malformed_if_lets_nothing_through(here: Dav, header: str) -> None:
    assert here("PUT", "/a", "one", If=header).status_code == 400
    assert here.names() == []


def test_a_move_keeps_bytes_etag_and_time(here: Dav) -> None:
    etag = here.put("/a", "one").headers["etag"]
    before = here("HEAD", "/a").headers["last-modified"]
    here.folder("/d")

    assert here("MOVE", "/a", Destination=here.base + "/d/b").status_code == 201

    head = here("HEAD", "/d/b").headers
    assert (head["etag"], head["last-modified"]) == (etag, before)
    assert here.names() == ["d"]


def test_a_move_replaces_or_refuses_as_overwrite_says(here: Dav) -> None:
    here.put("/a", "one")
    here.put("/b", "two")

    assert here("MOVE", "/a", Destination=here.base + "/b", Overwrite="F").status_code == 412
    assert here.text("/b") == "two"
    assert here("MOVE", "/a", Destination=here.base + "/b").status_code == 204
    assert here.text("/b") == "one"


@pytest.mark.parametrize("target", ["/a", "/%61", "/a/b", "/"])
def test_nothing_is_moved_onto_or_into_itself(here: Dav, target: str) -> None:
    here.folder("/a")
    here.folder("/a/b")

    assert here("MOVE", "/a", Destination=here.base + target).status_code == 403
    assert here.names("/a/") == ["b"]


def test_nothing_is_moved_over_what_it_lies_in(here: Dav) -> None:
    here.folder("/c")
    here.put("/c/d")

    assert here("MOVE", "/c/d", Destination=here.base + "/c").status_code == 403
    assert here.names("/c/") == ["d"]


@pytest.mark.parametrize(
    ("destination", "status"),
    [("http://elsewhere.example/x", 502), ("/elsewhere", 502), ("x", 400), ("/dav/files/bob/x", 404), ("", 400)],
)
def test_a_destination_is_here_or_nowhere(here: Dav, destination: str, status: int) -> None:
    here.put("/a")

    assert here("MOVE", "/a", Destination=destination).status_code == status
    assert here.names() == ["a"]


def test_a_destination_has_any_scheme_or_none(here: Dav) -> None:
    here.put("/a")

    assert here("MOVE", "/a", Destination=here.base.replace("http:", "https:") + "/b").status_code == 201
    assert here("MOVE", "/b", Destination=here.home + "/c").status_code == 201


def test_a_delete_takes_everything_below_at_once(here: Dav) -> None:
    here.folder("/a")
    here.put("/a/b")

    assert here("DELETE", "/a", Depth="0").status_code == 400
    assert here("DELETE", "/a/").status_code == 204
    assert here("GET", "/a/b").status_code == 404
    assert here.names() == []


def test_a_folder_without_its_slash_is_listed(here: Dav) -> None:
    here.folder("/a")
    here.put("/a/b")

    assert list(here.found("/a", "1")) == [f"{here.home}/a/", f"{here.home}/a/b"]


def test_a_depth_that_there_is_not_is_refused(here: Dav) -> None:
    assert here("PROPFIND", "/", Depth="2").status_code == 400


def test_everything_below_is_listed_where_it_is_not_too_much(here: Dav) -> None:
    here.folder("/a")
    here.folder("/a/b")
    here.put("/a/b/c")

    found = here.found("/a", "infinity")

    assert list(found) == [f"{here.home}/a/", f"{here.home}/a/b/", f"{here.home}/a/b/c"]


def test_large_folders_come_in_pages_and_the_same_way_again(here: Dav) -> None:
    for number in range(1_234):
        here.put(f"/{number:05}")

    plain = here("PROPFIND", "/", Depth="1")
    twice = [here("PROPFIND", "/", Depth="1", Accept_Encoding="gzip") for _ in range(2)]

    assert plain.text.count("<d:response>") == 1_235
    assert [each.headers["content-encoding"] for each in twice] == ["gzip", "gzip"]
    assert {each.text for each in twice} == {plain.text}
    here.put("/one more")
    again = here("PROPFIND", "/", Depth="1", Accept_Encoding="gzip")
    assert again.text.count("<d:response>") == 1_236


def test_ranges_and_times_are_answered(here: Dav) -> None:
    here("PUT", "/a", "0123456789", X_OC_Mtime="1600000000")

    answer = here("GET", "/a", Range="bytes=2-4")

    assert (answer.status_code, answer.text) == (206, "234")
    assert answer.headers["last-modified"] == "Sun, 13 Sep 2020 12:26:40 GMT"
    assert here("GET", "/a", Range="bytes=99-").headers["content-range"] == "bytes */10"


def test_options_tell_the_classes_to_anybody(one_hub: RunningHub) -> None:
    for path in ("/", "/dav/", "/dav/files/alice/", "/dav/files/alice/x"):
        answer = one_hub.client.request("OPTIONS", one_hub.base + path)
        assert (answer.status_code, answer.headers["ms-author-via"]) == (200, "DAV")
        assert answer.headers["dav"].startswith("1, 2, 3")


def test_others_homes_are_as_good_as_not_there(one_hub: RunningHub) -> None:
    alice, bob = Dav(one_hub), Dav(one_hub, "bob")
    bob.put("/secret")

    for method in ("GET", "PROPFIND", "DELETE", "PUT"):
        assert alice.hub.client.request(method, bob.base + "/secret", auth=alice.auth).status_code == 404
    assert one_hub.client.request("PROPFIND", bob.base).status_code == 401
    assert bob.text("/secret") == "x"


def test_what_somebody_keeps_is_never_a_page_of_the_hubs(here: Dav) -> None:
    here.put("/a.html", "<script>alert(1)</script>")

    headers = here("GET", "/a.html").headers

    assert headers["content-security-policy"].startswith("sandbox")
    assert (headers["x-content-type-options"], headers["content-disposition"]) == ("nosniff", "attachment")


def test_files_of_every_size_come_back(alice: Dav) -> None:
    for size in (0, 1, 65_535, 65_536, 65_537, 3_000_000):
        content = bytes(range(256)) * (size // 256 + 1)
        alice.put(f"/{size}", content[:size])
        assert alice("GET", f"/{size}").content == content[:size]


def test_a_hub_that_starts_anew_has_what_it_had(alice: Dav, hub: RunningHub) -> None:
    alice.folder("/d")
    etag = alice.put("/d/a", "one").headers["etag"]
    hub.__exit__(None, None, None)

    with RunningHub(hub.settings.data, index={"upstreams": []}) as again:
        answer = Dav(again, auth=alice.auth)("GET", "/d/a")

    assert (answer.text, answer.headers["etag"]) == ("one", etag)


def test_so_much_is_listed_below_and_no_more(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, limits={"dav_entries": 3}) as hub:
        dav = Dav(hub)
        dav.folder("/d")
        dav.put("/d/a")
        dav.put("/d/b")
        assert len(dav.found("/", "infinity")) == 4
        dav.put("/d/c")
        answer = dav("PROPFIND", "/", Depth="infinity")

    assert (answer.status_code, "<d:propfind-finite-depth/>" in answer.text) == (403, True)


def test_answers_are_kept_as_long_as_there_is_room() -> None:
    documents = Documents(Limits(dav_cache_bytes=100).dav_cache_bytes)

    for key in ("a", "b", "c", "d", "e"):
        documents.put(key, b"x" * 25)
    documents.put("large", b"x" * 26)

    assert [documents.get(key) is not None for key in ("a", "b", "e", "large")] == [False, True, True, False]
