"""TLS on loopback: a certificate for `localhost`, `127.0.0.1`, `upstream.test` and `files.test`, valid till 2126.

Its key is public, so nobody but a test may trust it: set `SSL_CERT_FILE` to `PEM` for the client under test.
"""

from __future__ import annotations

import ssl
from pathlib import Path

PEM = Path(__file__).with_name("loopback.pem")


def server_tls() -> ssl.SSLContext:
    """For a server that shows the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context
