"""Certificates are read once, and checked."""

from __future__ import annotations

import ssl

import httpx
import pytest

from infra.tls import trusted
from infra.wallet.rpc import JsonRpc


@pytest.mark.parametrize("trust_env", [True, False])
def test_an_unknown_certificate_is_not_trusted(trust_env: bool) -> None:
    """What is shared checks names and certificates as a client's own would."""
    context = trusted(trust_env=trust_env)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] > 50


async def test_connections_share_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new connection to a node reads nothing."""
    await JsonRpc("http://127.0.0.1:1").close()

    def read_again(*_: object, **__: object) -> ssl.SSLContext:
        raise AssertionError("certificates were read again")

    monkeypatch.setattr(httpx, "create_ssl_context", read_again)
    monkeypatch.setattr(ssl, "create_default_context", read_again)
    await JsonRpc("http://127.0.0.1:1").close()
