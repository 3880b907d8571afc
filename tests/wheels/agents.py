"""Headers as uv 0.13.9 and pip 26.3 were seen to send them."""

from __future__ import annotations

GLIBC = b'{"lib":"glibc","version":"2.36"}'
MUSL = b'{"lib":"musl","version":"1.2"}'
PIP = (
    b'pip/26.3 {"ci":null,"cpu":"x86_64","distro":{"id":"bookworm","libc":{"lib":"glibc","version":"2.36"},'
    b'"name":"Debian GNU/Linux","version":"12"},"implementation":{"name":"CPython","version":"3.11.7"},'
    b'"installer":{"name":"pip","version":"26.3"},"openssl_version":"OpenSSL 3.0.19 27 Jan 2026","python":"3.11.7",'
    b'"setuptools_version":"65.5.0","system":{"name":"Linux","release":"6.18.44"}}'
)


def uv(subcommand: bytes, libc: bytes = GLIBC) -> bytes:
    return (
        b'uv/0.13.9 {"installer":{"name":"uv","version":"0.13.9","subcommand":' + subcommand + b'},"python":"3.11.7",'
        b'"implementation":{"name":"CPython","version":"3.11.7"},"distro":{"name":"Debian GNU/Linux","version":"12",'
        b'"id":"bookworm","libc":' + libc + b'},"system":{"name":"Linux","release":"6.18.44"},"cpu":"x86_64",'
        b'"openssl_version":null,"setuptools_version":null,"rustc_version":null,"ci":null}'
    )
