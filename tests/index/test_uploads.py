"""Uploading: what is taken, what is refused and why, whose names are whose."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import Scope, remove_user, revoke_token
from creamery.contract import ProjectName
from creamery.index.archives import Artefact, check
from creamery.index.ownership import OwnershipRefused, add_role, claim, remove_role, reserve, roles
from creamery.index.project import Owner
from creamery.index.releases import delete, mark
from creamery.index.tables import find_project
from creamery.index.uploads import Uploads
from creamery.journal import since
from creamery.limits import Limits
from tests.doubles.distributions import Distribution, sdist, wheel
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import BY, HAVARTI, PASSCODE, form_of, token_of, upload
from tests.doubles.upstream import Upstream, status


@pytest.fixture
def private(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub with a passcode, over an upstream."""
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "passcode": PASSCODE}) as started:
        yield started


def change(hub: RunningHub, work: Any) -> Any:
    """Write as a command does, while the hub runs."""
    return hub.built.hub.committer.write(work)


def test_what_was_uploaded_stands_on_its_page_at_once_and_is_served(private: RunningHub) -> None:
    made, source = wheel("Acme.Tool", "1.0", requires_python=">=3.9"), sdist("acme-tool", "1.0")

    answers = [upload(private, made), upload(private, source)]
    page = private.page("acme-tool")

    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "OK\n")] * 2
    assert [file["filename"] for file in page["files"]] == [made.filename, source.filename]
    first = page["files"][0]
    assert first["hashes"] == {"sha256": made.sha256}
    assert (first["size"], first["requires-python"], first["yanked"]) == (len(made.content), ">=3.9", False)
    assert first["upload-time"].endswith("Z")
    assert first["core-metadata"] == {"sha256": hashlib.sha256(made.metadata).hexdigest()}
    assert private.get(f"/i/acme-tool/{made.filename}").content == made.content
    assert private.get(f"/i/acme-tool/{made.filename}.metadata").content == made.metadata
    assert private.get(f"/i/acme-tool/{source.filename}").content == source.content
    assert "acme-tool" in [project["name"] for project in private.get("/simple/", accept=JSON).json()["projects"]]


def test_as_many_fields_as_metadata_may_have_come_in_a_form_too(private: RunningHub) -> None:
    """`limits.metadata_fields`, `limits.form_fields`: twine sends a field for each."""
    requires = [f"p{number}" for number in range(Limits().metadata_fields - 4)]
    made = wheel("acme", "1.0", requires=requires)
    form, files = form_of(made)

    answer = private.client.post(
        f"{private.base}/u/", data={**form, "requires_dist": requires}, files=files, auth=HAVARTI, timeout=60
    )

    assert (answer.status_code, answer.text) == (200, "OK\n")


def test_the_same_bytes_are_welcome_again_and_others_never_take_their_name(private: RunningHub) -> None:
    made = wheel("acme", "1.0")
    other = replace(wheel("acme", "1.0", size=100), filename=made.filename)
    upload(private, made)

    again, refused = upload(private, made), upload(private, other)

    assert again.status_code == 200
    assert refused.status_code == 400
    assert refused.reason_phrase.startswith(f"File already exists ('{made.filename}'")
    assert private.get(f"/i/acme/{made.filename}").content == made.content


def test_one_distribution_has_one_spelling(private: RunningHub) -> None:
    made = sdist("acme", "1.0")
    upload(private, made)
    respelled = replace(sdist("acme", "1.0", size=10), filename="acme-1.0.0.tar.gz")

    assert upload(private, respelled).status_code == 400
    assert private.files("acme") == [made.filename]


@pytest.mark.parametrize("algorithm", ["sha256_digest", "md5_digest", "blake2_256_digest"])
def test_a_file_that_is_not_what_the_form_says_it_hashes_to_is_refused(private: RunningHub, algorithm: str) -> None:
    made = wheel("acme", "1.0")

    refused = upload(private, made, HAVARTI, **{algorithm: "0" * 64})

    assert refused.status_code == 400
    assert "changed them on the way" in refused.text
    assert private.get("/simple/acme/").status_code == 404
    assert upload(private, made).status_code == 200


def test_an_archive_that_is_none_is_refused_with_its_reason_and_claims_nothing(private: RunningHub) -> None:
    made = wheel("acme", "1.0")
    broken = Distribution(made.filename, made.content[:-40], made.metadata)

    refused = upload(private, broken)

    assert (refused.status_code, refused.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert private.ask(lambda c: find_project(c, ProjectName("acme"))) is None
    assert not list((private.settings.data / "incoming").glob("*"))


@pytest.mark.parametrize(
    ("filename", "instead"),
    [
        ("acme-1.0-py3.12.egg", "eggs are no longer uploaded (PEP 715): build a wheel"),
        ("acme-1.0.win-amd64-py3.9.exe", "Windows installers are no longer uploaded (PEP 527): build a wheel"),
        ("acme-1.0.win-amd64.msi", "Windows installers are no longer uploaded (PEP 527): build a wheel"),
        ("acme-1.0-1.noarch.rpm", "system packages are no longer uploaded (PEP 527): build a wheel"),
        ("python3-acme_1.0-1_all.deb", "system packages are no longer uploaded (PEP 527): build a wheel"),
        ("acme-1.0.dmg", "disk images are no longer uploaded (PEP 527): build a wheel"),
        *(
            (f"acme-1.0{end}", "sdists are .tar.gz (PEP 527)")
            for end in (".tar.bz2", ".tar.xz", ".tar.Z", ".tgz", ".tar")
        ),
        ("acme.txt", "A wheel is named {name}-{version}-{python}-{abi}-{platform}.whl"),
        ("acme-1.0-py3-none.whl", "A wheel is named {name}-{version}-{python}-{abi}-{platform}.whl"),
    ],
)
def test_what_is_no_wheel_and_no_sdist_is_refused_with_what_to_build(
    private: RunningHub, filename: str, instead: str
) -> None:
    refused = upload(private, Distribution(filename, b"x", b""))

    assert refused.status_code == 400
    assert instead in refused.reason_phrase
    assert instead in refused.text


@pytest.mark.parametrize(
    ("auth", "answer"), [(None, 401), (("havarti", "wrong"), 401), (("alice", PASSCODE), 401), (HAVARTI, 200)]
)
def test_nobody_uploads_without_being_known(private: RunningHub, auth: Any, answer: int) -> None:
    refused = upload(private, wheel("acme", "1.0"), auth)

    assert refused.status_code == answer
    if answer == 401:
        assert refused.headers["www-authenticate"].startswith("Basic")


def test_a_name_belongs_to_who_uploaded_it_first_and_to_whom_they_name(private: RunningHub) -> None:
    alice, bob = token_of(private, "alice"), token_of(private, "bob")
    root = token_of(private, "root", [Scope("admin")], is_admin=True)
    upload(private, wheel("acme", "1.0"), alice)

    by_bob = upload(private, wheel("acme", "1.1"), bob)
    by_root = upload(private, wheel("acme", "1.2"), root)

    assert by_bob.status_code == 403
    assert "bob is not an owner or maintainer of acme" in by_bob.text
    assert by_root.status_code == 200
    assert private.files("acme") == ["acme-1.0-py3-none-any.whl", "acme-1.2-py3-none-any.whl"]


def test_a_token_for_some_names_uploads_those_alone_whoever_its_user_is(private: RunningHub) -> None:
    upload(private, wheel("other", "1.0"))
    scopes = [Scope("index:upload", "acme-*"), Scope("index:manage")]
    limited, administrators = token_of(private, "alice", scopes), token_of(private, "root", scopes, is_admin=True)

    assert upload(private, wheel("acme-tool", "1.0"), limited).status_code == 200
    for token in (limited, administrators):
        for made in (wheel("new", "1.0"), wheel("other", "2.0")):
            refused = upload(private, made, token)
            assert refused.status_code == 403
            assert "its scopes reach not so far" in refused.reason_phrase


def test_a_token_that_is_taken_back_while_its_upload_is_checked_uploads_nothing(
    private: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_of(private, "alice")

    def check_slowly(stream: Any, filename: str, limits: Limits) -> Artefact:
        change(private, lambda c: revoke_token(c, 1, BY))
        return check(stream, filename, limits)

    monkeypatch.setattr("creamery.index.uploads.check", check_slowly)

    assert upload(private, wheel("acme", "1.0"), token).status_code == 401
    assert private.get("/simple/acme/").status_code == 404


def test_a_name_that_an_upstream_turns_out_to_have_while_its_upload_is_checked_is_not_claimed(
    private: RunningHub, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Uploads._decide

    async def decide_early(self: Uploads, name: ProjectName, owner: Owner | None) -> None:
        await decide(self, name, owner)
        upstream.add("acme", "9.0")
        await asyncio.to_thread(private.files, "acme")

    monkeypatch.setattr(Uploads, "_decide", decide_early)

    refused = upload(private, wheel("acme", "1.0"))

    assert refused.status_code == 400
    assert "an upstream index has a project acme" in refused.reason_phrase


def test_a_name_that_an_upstream_has_is_nobodys_here_unless_it_is_claimed_on_purpose(
    private: RunningHub, upstream: Upstream
) -> None:
    made = wheel("demo", "9.0")

    refused = upload(private, made)
    known = private.files("demo")
    change(private, lambda c: claim(c, ProjectName("demo"), BY, holder="passcode:havarti", why="a test"))
    upstream.forget()
    taken, page = upload(private, made), private.files("demo")

    assert refused.status_code == 400
    assert "an upstream index has a project demo" in refused.reason_phrase
    assert len(known) == 2
    assert (taken.status_code, page) == (200, [made.filename])
    assert [private.get(f"/i/demo/{name}").status_code for name in known] == [404, 404]
    assert upstream.requests() == []


def test_while_the_upstream_cannot_be_asked_a_new_name_waits_unless_it_is_reserved(
    private: RunningHub, upstream: Upstream
) -> None:
    upstream.misbehave("/simple/*", status(503))

    undecided = upload(private, wheel("acme-tool", "1.0"))
    change(private, lambda c: reserve(c, "Acme_*", BY))
    reserved = upload(private, wheel("acme-tool", "1.0"))

    assert undecided.status_code == 503
    assert "creamery index reserve" in undecided.text
    assert "retry-after" in undecided.headers
    assert reserved.status_code == 200


def test_a_hub_without_upstream_asks_nobody(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": [], "passcode": PASSCODE}) as hub:
        assert upload(hub, wheel("acme", "1.0")).status_code == 200
        assert hub.files("acme") == ["acme-1.0-py3-none-any.whl"]


def test_what_would_never_be_served_is_not_taken(upstream: Upstream, tmp_path: Path) -> None:
    settings = {"upstreams": [upstream.url], "passcode": PASSCODE, "deny": ["evil-*"]}
    with RunningHub(tmp_path, index=settings) as hub:
        refused = upload(hub, wheel("evil-tool", "1.0"))

        assert refused.status_code == 400
        assert "evil-*" in refused.reason_phrase
        assert upstream.requests() == []


@pytest.mark.parametrize(
    ("rules", "reason"),
    [({"deny": ["acme<2"]}, "index.deny: acme<2"), ({"allow": ["acme>=2"]}, "no rule allows it here (index.allow)")],
)
def test_who_uploads_what_the_rules_withhold_is_told(tmp_path: Path, rules: dict[str, Any], reason: str) -> None:
    with RunningHub(tmp_path, index={"upstreams": [], "passcode": PASSCODE, **rules}) as hub:
        first, again, served = (upload(hub, wheel("acme", version)) for version in ("1.0", "1.0", "2.0"))

        assert [answer.status_code for answer in (first, again, served)] == [200, 200, 200]
        assert first.text == again.text
        assert first.text.startswith("OK\nacme-1.0-py3-none-any.whl is kept, and is not served: ")
        assert reason in first.text
        assert served.text == "OK\n"
        assert hub.files("acme") == ["acme-2.0-py3-none-any.whl"]


def test_names_that_people_take_for_each_other_are_refused(private: RunningHub) -> None:
    upload(private, wheel("acme-tool", "1.0"))

    refused = upload(private, wheel("acmet00l", "1.0"))

    assert refused.status_code == 400
    assert "too much like acme-tool" in refused.reason_phrase


def test_a_name_like_that_of_an_upstreams_project_that_is_known_here_is_refused(
    private: RunningHub,
) -> None:
    private.files("demo")

    assert "too much like demo" in upload(private, wheel("dem0", "1.0")).reason_phrase


def test_a_removed_users_role_is_nobodys_and_can_be_taken(private: RunningHub) -> None:
    alice = token_of(private, "alice")
    upload(private, wheel("acme", "1.0"), alice)
    known = private.ask(lambda c: find_project(c, ProjectName("acme")))
    token_of(private, "bob")
    change(private, lambda c: add_role(c, known, "bob", "owner", BY))
    change(private, lambda c: remove_user(c, "alice", BY))
    (gone,) = [role.name for role in private.ask(lambda c: roles(c, known.id)) if role.name != "bob"]

    with pytest.raises(OwnershipRefused, match="without an owner"):
        change(private, lambda c: remove_role(c, known, "bob", "owner", BY))
    change(private, lambda c: remove_role(c, known, gone, "owner", BY))

    assert [role.name for role in private.ask(lambda c: roles(c, known.id))] == ["bob"]


def test_what_was_deleted_returns_under_no_other_spelling(private: RunningHub) -> None:
    made = wheel("acme", "5")
    upload(private, made)
    known = private.ask(lambda c: find_project(c, ProjectName("acme")))
    change(private, lambda c: delete(c, known, "5", "by mistake", BY))

    refused = upload(private, wheel("acme", "5.0.0"))

    assert (refused.status_code, private.files("acme")) == (400, [])
    assert refused.reason_phrase.startswith(f"File already exists: {made.filename} is the same distribution")


def test_builds_of_one_version_stand_side_by_side(private: RunningHub) -> None:
    plain = wheel("acme", "1.0")
    builds = [replace(plain, filename=f"acme-1.0-{build}-py3-none-any.whl") for build in ("1", "2")]

    answers = [upload(private, made).status_code for made in (plain, *builds)]
    same_build = upload(private, replace(plain, filename="acme-1.0.0-1-py3-none-any.whl"))

    assert answers == [200, 200, 200]
    assert private.files("acme") == [made.filename for made in (plain, *builds)]
    assert same_build.status_code == 400


def test_what_was_deleted_never_returns(private: RunningHub) -> None:
    made = wheel("acme", "1.0")
    upload(private, made)
    known = private.ask(lambda c: find_project(c, ProjectName("acme")))
    change(private, lambda c: delete(c, known, "1.0", "by mistake", BY))

    refused = upload(private, made)

    assert private.files("acme") == []
    assert private.get(f"/i/acme/{made.filename}").status_code == 404
    assert refused.status_code == 400
    assert refused.reason_phrase.startswith("This filename has already been used, use a different version.")


def test_nothing_is_added_to_a_project_that_is_archived(private: RunningHub) -> None:
    upload(private, wheel("acme", "1.0"))
    known = private.ask(lambda c: find_project(c, ProjectName("acme")))
    change(private, lambda c: mark(c, known, "archived", "done with", BY))

    assert upload(private, wheel("acme", "1.1")).status_code == 400
    assert private.page("acme")["project-status"] == {"status": "archived", "reason": "done with"}


def test_of_two_who_upload_one_new_name_at_once_one_owns_it_and_the_other_is_told(private: RunningHub) -> None:
    people = {name: token_of(private, name) for name in ("alice", "bob")}
    answers: dict[str, int] = {}
    together = threading.Barrier(len(people))

    def send(name: str, version: str) -> None:
        together.wait()
        answers[name] = upload(private, wheel("acme", version), people[name]).status_code

    threads = [threading.Thread(target=send, args=(name, f"1.{n}")) for n, name in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers.values()) == [200, 403]
    assert len(private.files("acme")) == 1


def test_the_journal_says_who_claimed_and_who_uploaded(private: RunningHub) -> None:
    upload(private, wheel("acme", "1.0"))

    entries = private.ask(lambda c: since(c, 0, 100))
    told = [(entry.action, entry.subject, entry.actor) for entry in entries if entry.door == "index"]

    assert told == [
        ("claimed", "acme", "havarti"),
        ("uploaded", "acme/acme-1.0-py3-none-any.whl", "havarti"),
    ]


@pytest.mark.parametrize(("action", "answer"), [("submit", 400), ("doc_upload", 400)])
def test_what_else_the_old_api_did_is_refused(private: RunningHub, action: str, answer: int) -> None:
    assert upload(private, wheel("acme", "1.0"), __action=action).status_code == answer


def test_register_is_thanked_for_and_does_nothing(private: RunningHub) -> None:
    form = {":action": (None, "submit"), "name": (None, "acme")}

    answer = private.client.post(private.base + "/u/", files=form, auth=HAVARTI)

    assert answer.status_code == 200
    assert private.get("/simple/acme/").status_code == 404
