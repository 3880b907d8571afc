"""Who may be shown built wheels, told by headers as uv 0.13.9, pip 26.3 and others were seen to send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.wheels.clients import MOST_BYTES, SOMEBODY, Client, client_of
from tests.wheels.agents import MUSL, PIP, uv


@pytest.mark.parametrize(
    "subcommand",
    [
        b'["pip","install"]',
        b'["pip","sync"]',
        b'["tool","run"]',
        b'["uvx"]',
        b'["tool","install"]',
        b'["build"]',
    ],
)
def test_uv_is_shown_built_wheels_where_it_installs_or_builds(subcommand: bytes) -> None:
    client = client_of(uv(subcommand))

    assert client.may_see_built
    assert client.tool == "uv"
    assert client.libc == ("glibc", 2, 36)


@pytest.mark.parametrize(
    "subcommand",
    [
        b'["lock"]',
        b'["sync"]',
        b'["add"]',
        b'["remove"]',
        b'["run"]',
        b'["export"]',
        b'["tree"]',
        b'["pip","compile"]',
        b'["pip","list"]',
        b'["venv"]',
        b'["tool"]',
        b'["pip","install","more"]',
        b"[]",
        b"null",
        b'"pip install"',
        b'{"pip":"install"}',
        b'[["pip"],["install"]]',
    ],
)
def test_uv_is_shown_none_where_it_may_write_a_lock_or_does_not_say(subcommand: bytes) -> None:
    client = client_of(uv(subcommand))

    assert client.tool == "uv"
    assert not client.may_see_built


def test_pip_is_shown_built_wheels() -> None:
    client = client_of(PIP)

    assert client == Client("pip", (), ("glibc", 2, 36))
    assert client.may_see_built


def test_pip_may_say_what_its_user_wants_said() -> None:
    said = PIP[:-1] + rb',"user_data":"some user \"data\""}'

    assert client_of(said).may_see_built


def test_a_machine_with_musl_says_so() -> None:
    assert client_of(uv(b'["pip","install"]', MUSL)).libc == ("musl", 1, 2)


@pytest.mark.parametrize(
    "libc",
    [
        b"null",
        b"{}",
        b'"glibc"',
        b'{"lib":"glibc"}',
        b'{"lib":"glibc","version":2.36}',
        b'{"lib":"glibc","version":"two"}',
        b'{"lib":"glibc","version":"99999.1"}',
        b'{"lib":"uclibc","version":"1.0"}',
        b'{"lib":["glibc"],"version":"2.36"}',
    ],
)
def test_a_libc_that_nobody_can_read_is_none(libc: bytes) -> None:
    client = client_of(uv(b'["pip","install"]', libc))

    assert client.may_see_built
    assert client.libc is None


@pytest.mark.parametrize(
    "user_agent",
    [
        None,
        b"",
        b"uv/0.13.9",
        b"uv/0.1.44 (linux)",
        b"pip/1.5.6 CPython/2.7.9 Linux/3.16.0",
        b"poetry/2.5.1 CPython/3.11.7 Linux/6.18.44",
        b"pdm/2.26.1 CPython/3.11.7 Linux/6.18.44",
        b"unearth/0.18.0 " + PIP.partition(b" ")[2],
        b"bandersnatch/7.1.0 (CPython 3.13.1-final0, Linux x86_64) (aiohttp 3.13.2)",
        b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        b"Mozilla/5.0 " + PIP,
        PIP + b" Proxy/1.0",
        PIP.replace(b'"name":"pip"', b'"name":"pipper"'),
        b'pip/26.3 {"installer":"pip"}',
        b"pip/26.3 {not json}",
        b"pip/26.3 {}",
        b"pip/26.3 {\xff}",
        b"uv/0.13.9 {" + b'"a":{' * 1_300 + b"}" * 1_301,
        PIP[:-1] + b',"user_data":"' + b"x" * MOST_BYTES + b'"}',
    ],
)
def test_everybody_else_is_shown_none(user_agent: bytes | None) -> None:
    assert client_of(user_agent) == SOMEBODY
    assert not SOMEBODY.may_see_built


@given(st.binary(max_size=200), st.sampled_from([b"", b"uv/1 {", b"pip/1 {", b'uv/1 {"installer":{"name":"uv",']))
def test_no_header_is_an_error(rest: bytes, first: bytes) -> None:
    assert not client_of(first + rest).may_see_built
