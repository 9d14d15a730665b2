"""Giving up root: for a server that refuses to run as root, and for the signer's custody.

The child becomes another user (`nobody`; the signer one of its own) and keeps one capability, to
pass through directories, so that data below a private home directory is reachable without changing
anybody's permissions.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_SIGNER_NAME = "rialto-signer"
_SIGNER_NUMBER = 60_600  # of the range that systemd's table of users and groups calls unused


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def runs_as_root() -> bool:
    """Tell whether we are root."""
    return os.geteuid() == 0


@dataclass(frozen=True, slots=True)
class Account:
    """An operating-system user by its numbers; it needs no entry in the user database."""

    uid: int
    gid: int


def server_user() -> Account:
    """Return the user that a server runs as when we are root."""
    return _account("nobody")


def signer_user() -> Account:
    """Return the user that the signer runs as when we are root: nothing else runs as it.

    It is `rialto-signer` where the system has that, else a number that systems leave unused.
    """
    try:
        return _account(_SIGNER_NAME)
    except KeyError:
        return Account(_SIGNER_NUMBER, _SIGNER_NUMBER)


def _account(name: str) -> Account:
    entry = pwd.getpwnam(name)
    return Account(entry.pw_uid, entry.pw_gid)


def give_to(user: Account, paths: Iterable[Path]) -> None:
    """Make `user` the owner of `paths` and of all below them."""
    for path in paths:
        for found in (path, *path.rglob("*")):
            os.chown(found, user.uid, user.gid, follow_symlinks=False)


def become_user(user: Account) -> Callable[[], None]:
    """Return the function that the child calls; looked up here, as the child should do little."""

    def become() -> None:
        _LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setgid(user.gid)
        os.setuid(user.uid)
        for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
            if _keep_only(capability):
                return

    return become


def _keep_only(capability: int) -> bool:
    """Reduce ours to one capability that survives exec; False when we do not hold it."""
    header = _Header(_CAPABILITY_VERSION_3, 0)
    bit = 1 << capability
    wanted = (_Capabilities * 2)(_Capabilities(bit, bit, bit), _Capabilities(0, 0, 0))
    if _LIBC.capset(ctypes.byref(header), ctypes.byref(wanted)) != 0:
        return False
    return bool(_LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0)
