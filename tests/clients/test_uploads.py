"""Everything that uploads, uploads here; what it may not upload it refuses in words that people read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from creamery.accounts import By, Passwords, Scope, add_user, create_token
from creamery.clock import Micros
from tests.clients.machine import Machine
from tests.clients.prepare import UPLOADING, prepared, python_2
from tests.clients.programs import Pip, Uv
from tests.clients.publishers import (
    Flit,
    Login,
    Publisher,
    Setuptools,
    Twine,
    UvPublish,
    publisher_called,
    said,
    write_pypirc,
)
from tests.doubles.distributions import Distribution, sdist, wheel
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream, status

pytestmark = pytest.mark.installed

PASSCODE = "open sesame"
HAVARTI = Login("havarti", PASSCODE)
BY = By(Micros(1_700_000_000_000_000))
NAME = "cream.Test-pkg"
PAGE = "cream-test-pkg"
BUILT = ["cream_test_pkg-1.0-py3-none-any.whl", "cream_test_pkg-1.0.tar.gz"]
LARGE = 100_000_000


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    """A hub without upstream, with the passcode of old."""
    data = tmp_path / "data"
    data.mkdir()
    with RunningHub(data, index={"upstreams": (), "passcode": PASSCODE}) as started:
        yield started


@pytest.fixture
def token(hub: RunningHub) -> Login:
    """A token of Alice's, as PyPI wants tokens presented."""
    committer = hub.built.hub.committer
    hashed = Passwords(hub.settings.limits).hash("correct horse battery staple")
    committer.write(lambda connection: add_user(connection, "alice", hashed, BY))
    scopes = [Scope("index:upload"), Scope("index:read")]
    text, _ = committer.write(lambda c: create_token(c, "alice", "a test's", scopes, None, BY))
    return Login("__token__", text)


@pytest.fixture(params=UPLOADING)
def publisher(request: pytest.FixtureRequest, machine: Machine) -> Publisher:
    """Each in turn."""
    return publisher_called(request.param, machine)


@pytest.fixture
def twine(machine: Machine) -> Twine:
    return Twine(machine, prepared("twine") / "twine")


@pytest.fixture
def uv_publish(machine: Machine) -> UvPublish:
    return UvPublish(machine, prepared("uv") / "uv")


def address(hub: RunningHub) -> str:
    return f"{hub.base}/u/"


def install_by_hash(machine: Machine, hub: RunningHub, kind: str) -> None:
    """pip and uv install the page's file of that kind, by its hash alone."""
    pip, uv = Pip(machine, prepared("pip") / "pip"), Uv(machine, prepared("uv") / "uv")
    options = ("--index-url", f"{hub.base}/simple/", "--no-deps", "--require-hashes")
    (file,) = (file for file in hub.page(PAGE)["files"] if file["filename"].endswith(kind))
    wanted = machine.home / "requirements.txt"
    wanted.write_text(f"{PAGE}==1.0 --hash=sha256:{file['hashes']['sha256']}\n")
    by_pip, by_uv = machine.environment(), machine.environment()
    pip.succeed("install", *options, "-r", wanted, environment=by_pip)
    uv.succeed("--no-config", "pip", "install", "--python", by_uv.python, *options, "-r", wanted)
    assert by_pip.installed() == by_uv.installed() == {PAGE: "1.0"}


def test_what_is_uploaded_with_the_passcode_installs_by_its_hash(
    publisher: Publisher, hub: RunningHub, machine: Machine
) -> None:
    ran = publisher.publish(publisher.project(NAME, "1.0"), address(hub), HAVARTI)

    assert ran.code == 0, ran.output
    if not isinstance(publisher, (Flit, Setuptools)):
        assert sorted(hub.files(PAGE)) == BUILT
    install_by_hash(machine, hub, ".whl")


def test_an_sdist_that_is_uploaded_builds_and_installs_by_its_hash(
    twine: Twine, hub: RunningHub, machine: Machine
) -> None:
    project = twine.project(NAME, "1.0")
    project.put(sdist(NAME, "1.0"))

    assert twine.publish(project, address(hub), HAVARTI).code == 0
    install_by_hash(machine, hub, ".tar.gz")


def test_what_is_uploaded_again_stays_as_it_is(publisher: Publisher, hub: RunningHub, token: Login) -> None:
    project = publisher.project(NAME, "1.0")
    first = publisher.publish(project, address(hub), token)
    before = hub.page(PAGE)

    again = publisher.publish(project, address(hub), token)

    assert (first.code, again.code) == (0, 0), first.output + again.output
    assert hub.page(PAGE)["files"] == before["files"]


def test_other_bytes_under_a_name_that_is_taken_are_refused_in_words(
    publisher: Publisher, hub: RunningHub, token: Login
) -> None:
    assert publisher.publish(publisher.project(NAME, "1.0"), address(hub), token).code == 0
    before = hub.page(PAGE)

    ran = publisher.publish(publisher.project(NAME, "1.0", "2"), address(hub), token)

    assert ran.code != 0
    assert "File already exists" in said(ran), ran.output
    assert hub.page(PAGE)["files"] == before["files"]


def test_a_wrong_passcode_is_refused_in_words(publisher: Publisher, hub: RunningHub) -> None:
    ran = publisher.publish(publisher.project(NAME, "1.0"), address(hub), Login("havarti", "wrong"))

    assert ran.code != 0
    assert "The user name, password or token is not right" in said(ran), ran.output
    assert hub.get(f"/simple/{PAGE}/").status_code == 404


def test_a_project_of_somebody_else_is_refused_in_words(publisher: Publisher, hub: RunningHub, token: Login) -> None:
    project = publisher.project(NAME, "1.0")
    assert publisher.publish(project, address(hub), HAVARTI).code == 0
    before = hub.page(PAGE)

    ran = publisher.publish(publisher.project(NAME, "1.1"), address(hub), token)

    assert ran.code != 0
    assert f"alice is not an owner or maintainer of {PAGE}" in said(ran), ran.output
    assert hub.page(PAGE)["files"] == before["files"]


@pytest.mark.parametrize("publisher", [n for n in UPLOADING if n not in {"flit", "setuptools"}], indirect=True)
def test_an_archive_that_lies_is_refused_in_words(publisher: Publisher, hub: RunningHub) -> None:
    project = publisher.project(NAME, "1.0")
    project.put(lying(wheel(NAME, "1.0")))

    ran = publisher.publish(project, address(hub), HAVARTI)

    assert ran.code != 0
    assert "RECORD" in said(ran), ran.output
    assert hub.get(f"/simple/{PAGE}/").status_code == 404


def lying(file: Distribution) -> Distribution:
    """The same wheel, whose RECORD does not know the version that its module says."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file.content)) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry, data.replace(b"1.0", b"6.6") if entry.filename.endswith("__init__.py") else data)
    return replace(file, content=changed.getvalue())


@pytest.mark.parametrize("name", ["twine", "twine-6", "flit", "setuptools"])
def test_the_documented_pypirc_works_as_it_stands(name: str, hub: RunningHub, machine: Machine) -> None:
    publisher = publisher_called(name, machine)
    project = publisher.project(NAME, "1.0")
    write_pypirc(machine, address(hub), HAVARTI)

    if isinstance(publisher, Setuptools):
        ran = publisher.upload(project, "sdist", "upload", "-r", "havarti")
    elif isinstance(publisher, Flit):
        ran = publisher.upload(project, "--repository", "havarti")
    else:
        assert isinstance(publisher, Twine)
        ran = publisher.upload(project, "--repository", "havarti")

    assert ran.code == 0, ran.output
    assert hub.files(PAGE) != []


def test_python_2_uploads_in_one_command_with_register(hub: RunningHub, machine: Machine) -> None:
    """`register` is refused, for it has a password only for a realm called `pypi`; the upload after it goes on."""
    python = python_2()
    if python is None:
        pytest.skip("no Python 2.7 on this machine")
    write_pypirc(machine, address(hub), HAVARTI)
    said_of_it = f"name='{NAME}', version='1.0', url='-', author='-', author_email='-'"
    (machine.home / "setup.py").write_text(f"from distutils.core import setup\nsetup({said_of_it})\n")

    ran = machine.run(python, "setup.py", "register", "-r", "havarti", "sdist", "upload", "-r", "havarti")

    assert "Server response (200): OK" in said(ran), ran.output
    assert hub.files(PAGE) == [f"{NAME}-1.0.tar.gz"]


def test_uv_leaves_out_what_its_check_finds(uv_publish: UvPublish, hub: RunningHub) -> None:
    check = ("--check-url", f"{hub.base}/simple/")
    project = uv_publish.project(NAME, "1.0")
    project.put(wheel(NAME, "1.0"))
    first = uv_publish.publish(project, address(hub), HAVARTI, *check)
    project.put(wheel(NAME, "1.0"), sdist(NAME, "1.0"))

    second = uv_publish.publish(project, address(hub), HAVARTI, *check)
    project.put(wheel(NAME, "1.0", size=9))
    other = uv_publish.publish(project, address(hub), HAVARTI, *check)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert "already exists, skipping" in said(second)
    assert sorted(hub.files(PAGE)) == BUILT
    assert other.code != 0


def test_uv_says_why_its_check_finds_no_answer_and_what_helps(
    uv_publish: UvPublish, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.misbehave("/simple/*", status(503))
    project = uv_publish.project(NAME, "1.0")
    project.put(wheel(NAME, "1.0"))

    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "passcode": PASSCODE}) as hub:
        ran = uv_publish.publish(project, address(hub), HAVARTI, "--check-url", f"{hub.base}/simple/")

    assert ran.code != 0
    assert "its upstream cannot be asked" in said(ran), ran.output
    assert "creamery index reserve" in said(ran), ran.output


def test_uvs_check_of_a_closed_hub_wants_a_token_that_may_read_in_its_address(
    uv_publish: UvPublish, upstream: Upstream, tmp_path: Path
) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "read": "users"}) as hub:
        uploads = token_of(hub, "alice")
        both = token_of(hub, "alice", (Scope("index:upload"), Scope("index:read")))
        project = uv_publish.project(NAME, "1.0")
        project.put(wheel(NAME, "1.0"))
        ran = []
        for token, check in ((uploads, uploads), (uploads, uploads), (both, both)):
            base = hub.base.replace("://", f"://{':'.join(check)}@")
            ran.append(uv_publish.publish(project, address(hub), Login(*token), "--check-url", f"{base}/simple/"))

        assert [each.code for each in ran] == [0, 0, 0], "".join(each.output for each in ran)
        assert ["already exists, skipping" in said(each) for each in ran] == [False, False, True]


@pytest.mark.parametrize("name", ["twine", "uv", "hatch"])
def test_the_refusal_of_a_large_upload_is_read(name: str, hub: RunningHub, machine: Machine) -> None:
    """It is answered when its headers are there; those who read only in the end send 100 MB before they do."""
    publisher = publisher_called(name, machine)
    project = publisher.project(NAME, "1.0")
    project.put(wheel(NAME, "1.0", size=LARGE))

    ran = publisher.publish(project, address(hub), Login("havarti", "wrong"))

    assert ran.code != 0
    assert "The user name, password or token is not right" in said(ran), ran.output
