"""The pause at the desk: one officer stops payments, two let them go on.

Run where the signer runs, so that both the gate and the signer know of it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.payment_pause import PaymentPause, is_resumed, resumed_by
from domain.two_signatures import SIGNATURES_NEEDED, reason_refusal
from infra.postgres.audit_store import AuditStore
from infra.settings import Settings
from infra.wallet import officers
from infra.wallet.pause_file import PauseOnFile, pause_path, read_pause, write_pause
from infra.wallet.pause_store import PauseStore
from infra.wallet.pinned_officers import PinnedOfficers
from workers.officer_desk import DeskError

_DATABASE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Resumption:
    """How far it is: who has signed to go on, and whether payments do."""

    pause: PaymentPause
    signed_by: tuple[str, ...]
    ended: bool


def _sign(settings: Settings, officer: str, text: str) -> str:
    path = officers.private_key_path(settings.data_dir, officer)
    if not officer.isidentifier() or not path.exists():
        raise DeskError(f"there is no key of an officer {officer!r} on this machine")
    return officers.load_private_key(path).sign(text.encode()).hex()


def _require_signer(settings: Settings) -> PinnedOfficers:
    """Return the officers whom the signer knows; `DeskError` where there is no signer."""
    path = officers.signer_pinned_path(settings.data_dir)
    if not path.exists():
        raise DeskError(f"there is no signer in {settings.data_dir}: run this where it runs")
    return PinnedOfficers(path)


async def pause(engine: AsyncEngine, settings: Settings, officer: str, reason: str) -> PaymentPause:
    """Stop all payments: the signer's file first, which needs no server, then the row.

    A database that is away, or hangs, keeps nobody from stopping the signer.
    """
    refusal = reason_refusal("a pause", reason)
    if refusal is not None:
        raise DeskError(refusal)
    pinned, store = _require_signer(settings), PauseStore(engine, AuditStore())
    made = PaymentPause(str(uuid4()), officer, reason, int(time.time()))
    signature = _sign(settings, officer, made.statement())
    if officer not in pinned:
        raise DeskError(f"{officer} is no officer whom the signer knows")
    path = pause_path(settings.data_dir)
    standing = _signers_own(settings, pinned)
    if standing is None:
        write_pause(path, PauseOnFile(made))
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            known = await store.in_force()
            if known is None:
                write_pause(path, PauseOnFile(made))  # to resume it takes what the row has
                await store.begin(made, signature)
                return made
    except (ConnectionError, TimeoutError) as error:
        raise DeskError(
            "the signer signs nothing from here on; pause again for the gate and the log: "
            f"{str(error) or 'PostgreSQL does not answer'}"
        ) from error
    if standing is not None and standing[0] == known[0]:
        raise DeskError(f"payments are {known[0].told}")
    write_pause(path, PauseOnFile(*known))  # the file was lost: the signer has to know again
    return known[0]


async def resume(engine: AsyncEngine, settings: Settings, officer: str) -> Resumption:
    """Add an officer's signature to go on; with two, gate and signer let payments pass."""
    pinned, store = _require_signer(settings), PauseStore(engine, AuditStore())
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            known = await store.in_force() or _signers_own(settings, pinned)
    except (ConnectionError, TimeoutError) as error:
        raise DeskError(
            "payments go on only by the row as well as by the signer's file, and PostgreSQL does "
            f"not answer: start it, then resume again ({str(error) or 'no answer'})"
        ) from error
    if known is None:
        raise DeskError("payments are not paused")
    found, signatures = known
    if officer in resumed_by(found, signatures, pinned, officers.verify_ed25519):
        raise DeskError(f"{officer} has signed already; {SIGNATURES_NEEDED} officers must")
    if officer not in pinned:
        raise DeskError(f"{officer} is no officer whom the signer knows")
    signatures[officer] = _sign(settings, officer, found.resumption())
    ended = is_resumed(found, signatures, pinned, officers.verify_ed25519)
    write_pause(pause_path(settings.data_dir), PauseOnFile(found, signatures))
    # The row last: where it cannot be written, payments stay stopped, and he signs again.
    await store.resume(found, signatures, officer, ended=ended)
    return Resumption(found, tuple(sorted(signatures)), ended)


def _signers_own(
    settings: Settings, pinned: PinnedOfficers
) -> tuple[PaymentPause, dict[str, str]] | None:
    """Return the pause by which the signer alone still refuses, with the signatures on its file.

    Its row was never written, or an officer who had let payments go on has another key since.
    """
    try:
        found = read_pause(pause_path(settings.data_dir))
    except (ValueError, OSError):  # cannot be read: the signer refuses, and it is written anew
        return None
    if found is None or is_resumed(found.pause, found.signatures, pinned, officers.verify_ed25519):
        return None
    return found.pause, dict(found.signatures)
