"""Who may send what to the engine: roles, their opcodes, their tokens."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from domain.commands import Opcode


class Role(IntEnum):
    """What a connection is; wire number, never reused."""

    GATEWAY = 1
    TREASURY = 2
    ADMIN = 3
    RISK = 4
    READER = 5


ROLE_OPCODES: Final = MappingProxyType(
    {
        Role.GATEWAY: frozenset(
            (
                Opcode.PLACE_ORDER,
                Opcode.CANCEL_ORDER,
                Opcode.CANCEL_ALL,
                Opcode.AMEND_ORDER,
                Opcode.SET_DEAD_MANS_SWITCH,
                Opcode.PLACE_ORDER_LIST,
                Opcode.SET_LEVERAGE,
                Opcode.SET_MARGIN_MODE,
                Opcode.MOVE_MARGIN,
            )
        ),
        Role.TREASURY: frozenset((Opcode.CREDIT, Opcode.DEBIT, Opcode.TOP_UP_FUND)),
        Role.ADMIN: frozenset(
            (
                Opcode.LIST_SYMBOL,
                Opcode.SET_PARAMETERS,
                Opcode.SET_ACCOUNT_TIER,
                Opcode.SET_SYMBOL_STATE,
                Opcode.SET_SHARD_MODE,
                Opcode.DELIST_SYMBOL,
                Opcode.LIST_PERPETUAL,
                Opcode.SET_RISK_PARAMETERS,
                Opcode.SET_PERPETUAL_STATE,
                Opcode.SETTLE_MARKET,
            )
        ),
        Role.RISK: frozenset(
            (
                Opcode.SET_INDEX,
                Opcode.SET_PERPETUAL_STATE,
                Opcode.SETTLE_FUNDING,
                Opcode.FREEZE,
                Opcode.UNFREEZE,
                Opcode.LIQUIDATE,
                Opcode.TAKE_OVER,
                Opcode.DELEVERAGE,
                Opcode.UNWIND,
                Opcode.SWEEP_DUST,
            )
        ),
        Role.READER: frozenset[Opcode](),
    }
)


class Tokens:
    """The secrets that prove a role."""

    def __init__(self, by_name: dict[str, str]) -> None:
        self._by_role = {Role[name.upper()]: token for name, token in by_name.items()}

    def proves(self, role: int, token: str) -> bool:
        """Return whether `token` is that of `role`; in constant time."""
        wanted = self._by_role.get(Role(role)) if role in set(Role) else None
        return hmac.compare_digest((wanted or secrets.token_hex(32)).encode(), token.encode())

    def of(self, role: str) -> str:
        """Return the token of a role by its name in lower case."""
        return self._by_role[Role[role.upper()]]


def load_tokens(path: Path) -> Tokens:
    """Return the tokens in a file; `FileNotFoundError` before they were made."""
    return Tokens(json.loads(path.read_text()))


def ensure_tokens(path: Path) -> Tokens:
    """Return the tokens in a file, made from the system's entropy when there are none yet."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = {role.name.lower(): secrets.token_hex(32) for role in Role}
        fresh = path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(made, file)
        try:
            os.link(fresh, path)  # of several that start at once, the first decides
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return load_tokens(path)
