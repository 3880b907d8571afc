"""Which addresses may be asked, by the book of special addresses."""

from __future__ import annotations

import contextlib
import re
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from creamery.egress import ForbiddenAddress, Origin
from creamery.egress.addresses import check_literal, read_address, redirected, why_forbidden

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",  # carrier-grade NAT
    "100.100.100.200",  # Alibaba's metadata
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # Azure's metadata
    "169.254.169.254",  # metadata of most clouds
    "172.16.0.1",
    "192.0.0.192",  # Oracle's metadata
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # Amazon's metadata
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]

PUBLIC = ["1.1.1.1", "93.184.216.34", "151.101.0.223", "2606:4700::1111", "2a04:4e42::223", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_this_machine_or_network_is_public(address: str) -> None:
    assert why_forbidden(ip_address(address)) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert why_forbidden(ip_address(address)) is None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.01",
        "1.1.1.257",
        "999999999999",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1%25eth0]",
        "①②⑦.⓪.⓪.①",  # IDNA makes plain digits of them
        "127。0。0。1",  # and plain dots
    ],
)
def test_a_number_that_is_no_public_address_is_forbidden_however_it_is_written(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_literal(read_address(f"http://{host}/"))


@pytest.mark.parametrize(
    "host", ["example.org", "1e100.net", "files.pythonhosted.test", "a.0x.example", "xn--4ca.test"]
)
def test_a_name_is_left_to_the_resolver(host: str) -> None:
    assert check_literal(read_address(f"http://{host}/")) is False


def test_a_public_number_is_an_address_like_another() -> None:
    assert check_literal(read_address("https://1.1.1.1/")) is True


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/simple/",
        "//example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://[",
        "http://[::1",
        "http://example.org:99999/",
        "http://example.org:port/",
        "http://exa mple.org/",
        "http://example.org\\@127.0.0.1/",
        "http://exam\0ple.org/",
        "http://example.org/" + "x" * 8_000,
    ],
)
def test_what_is_no_http_address_is_forbidden(url: str) -> None:
    with pytest.raises(ForbiddenAddress):
        read_address(url)


def test_an_address_of_8_000_characters_is_read() -> None:
    url = "http://example.org/" + "x" * (8_000 - len("http://example.org/"))

    assert str(read_address(url)) == url


def test_user_and_password_and_fragment_are_dropped_and_the_rest_stays_as_it_is() -> None:
    found = read_address("https://user:password@example.org/a%2Fb%7E+c?sig=%2B%20%41&x=a%2fb#sha256=00")

    assert str(found) == "https://example.org/a%2Fb%7E+c?sig=%2B%20%41&x=a%2fb"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/x", "https://a.test/x"),
        ("x", "https://a.test/d/x"),
        ("//b.test/x", "https://b.test/x"),
        ("https://b.test/x y", "https://b.test/x%20y"),
        ("?q=1", "https://a.test/d/e?q=1"),
        ("https://u:p@b.test/", "https://b.test/"),
    ],
)
def test_a_redirect_is_read_relative_to_its_address(location: str, target: str) -> None:
    assert str(redirected(URL("https://a.test/d/e"), location)) == target


@pytest.mark.parametrize("location", ["http://a.test/", "ftp://a.test/", "file:///x", "http://[", "x" * 8_001])
def test_a_redirect_never_leads_from_https_to_less(location: str) -> None:
    with pytest.raises(ForbiddenAddress):
        redirected(URL("https://a.test/d/e"), location)


def test_an_origin_owns_its_host_and_port_and_the_hosts_configured_with_it() -> None:
    origin = Origin.parse("http://a.test:81/simple/", ["files.test", "other.test:8443", "[::1]:82"])

    assert all(
        origin.owns(URL(url))
        for url in (
            "http://a.test:81/x",
            "http://A.test.:81/x",
            "https://files.test/x",
            "http://files.test/x",
            "https://other.test:8443/x",
            "http://[::1]:82/",
        )
    )
    assert not any(
        origin.owns(URL(url))
        for url in ("http://a.test/", "http://b.a.test:81/", "https://files.test:444/", "http://other.test/")
    )


def test_an_origins_password_becomes_a_header_that_no_repr_shows() -> None:
    origin = Origin.parse("https://us%40er:pass%3Aword@a.test/simple/")

    assert origin.url == "https://a.test/simple/"
    assert origin.authorization == "Basic dXNAZXI6cGFzczp3b3Jk"
    assert "Basic" not in repr(origin)


def test_an_origins_password_goes_to_its_own_scheme_host_and_port_only() -> None:
    origin = Origin.parse("https://u:p@a.test/simple/", ["files.test"])

    assert origin.authorization_for(URL("https://a.test/other")) is not None
    assert origin.authorization_for(URL("http://a.test/")) is None
    assert origin.authorization_for(URL("https://a.test:444/")) is None
    assert origin.authorization_for(URL("https://files.test/")) is None


@pytest.mark.parametrize("url", ["", "a.test", "ftp://a.test/", "https:///simple/"])
def test_an_origin_is_an_http_address(url: str) -> None:
    with pytest.raises(ValueError, match="begins with http"):
        Origin.parse(url)


HOSTILE = st.text(st.sampled_from("hftps:/?#[]@%.\\ \0\r\n0129axé\u2100\u212a。:-_~+&="), max_size=40)


@given(text=st.one_of(HOSTILE, HOSTILE.map("http://".__add__), HOSTILE.map("https://a.test/".__add__), st.text()))
@example("http://[::1%25\0]/")
@example("http://a.test:0/")
@example("http://\udc80/")
@example("http://a\u2100b/")
def test_any_text_is_an_address_or_forbidden(text: str) -> None:
    try:
        address = read_address(text)
        check_literal(address)
    except ForbiddenAddress:
        return

    assert address.scheme in {"http", "https"}
    assert address.user is None
    assert re.fullmatch(r"[!-~]+", str(address))
    assert read_address(str(address)) == address


@given(location=st.one_of(HOSTILE, HOSTILE.map("//".__add__), HOSTILE.map("https://".__add__), st.text()))
@example("https://")
@example("\udcff")
def test_any_redirect_leads_to_an_address_or_is_forbidden(location: str) -> None:
    with contextlib.suppress(ForbiddenAddress):
        assert redirected(URL("https://a.test/d/e"), location).scheme == "https"


@given(private=st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"]), data=st.data())
def test_a_private_address_is_found_in_every_wrapping(private: str, data: st.DataObject) -> None:
    inner = data.draw(st.ip_addresses(network=private))
    number = int(inner)
    wrapped = [
        f"::ffff:{inner}",
        f"::{inner}",
        f"64:ff9b::{inner}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"2001::{~number >> 16 & 0xFFFF:x}:{~number & 0xFFFF:x}",
    ]

    assert all(why_forbidden(ip_address(address)) for address in wrapped)
