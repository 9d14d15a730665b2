"""Whom our HTTPS clients trust, read once: each reading takes 50 ms of a core."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def trusted(*, trust_env: bool = True) -> ssl.SSLContext:
    """Return the certificates, for all clients of this process; with `trust_env` the machine's."""
    return httpx.create_ssl_context(trust_env=trust_env)
