"""What staff do with money in suspense: look at it, propose to release it or to send it back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.adjustment import Adjustment
from domain.deposit import IN_SUSPENSE_STATES, Deposit
from domain.ledger import Posting, main, suspense, withdrawal_pending
from domain.money import text_from_units
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_file import CustomerFileStore
from infra.postgres.ledger_store import LedgerStore
from infra.settings import Settings
from infra.wallet.asked_service import ScreeningAwayError
from infra.wallet.chain import EvmChain
from infra.wallet.deposit_rows import DEPOSITS, REVERSED, deposit_of, read_deposit
from infra.wallet.rpc import ChainUnavailableError
from workers import adjust_desk
from workers.officer_desk import DeskError
from workers.wallet_wiring import return_rules

_MOST = 500
_d = tables.deposit.c


async def in_suspense(engine: AsyncEngine) -> list[dict[str, Any]]:
    """Return the deposits whose money is in suspense, oldest first; for people.

    One that a reorganisation took back after it was booked is short there: a negative amount.
    """
    return [_line(row) for row in await suspended(engine)]


async def suspended(engine: AsyncEngine) -> list[Deposit]:
    """Return the deposits whose money is in suspense, or short there, oldest first."""
    wanted = sa.or_(_d.state.in_(sorted(IN_SUSPENSE_STATES)), REVERSED)
    query = DEPOSITS.where(wanted, _d.customer_id.is_not(None))
    async with engine.connect() as connection:
        rows = await connection.execute(query.order_by(_d.created_at).limit(_MOST))
        found = [deposit_of(row) for row in rows]
    return [row for row in found if suspended_amount(row)]


async def totals(engine: AsyncEngine) -> dict[str, str]:
    """Return what the ledger has in suspense, {asset: amount in coins}, of what is not zero."""
    asset = tables.asset.c
    async with engine.connect() as connection:
        assets = (await connection.execute(sa.select(asset.code, asset.chain_decimals))).all()
        found = {
            row.code: (await LedgerStore().balance(connection, suspense(row.code)), row)
            for row in assets
        }
    return {
        code: text_from_units(balance, row.chain_decimals)
        for code, (balance, row) in sorted(found.items())
        if balance
    }


async def story(engine: AsyncEngine, deposit_id: str) -> dict[str, Any]:
    """Return a deposit with its audit records and what is proposed about it."""
    row = await _load(engine, deposit_id)
    async with engine.connect() as connection:
        records = await AuditStore().read(connection, deposit_id)
    proposals = [
        adjust_desk.as_json(found, sorted(signed))
        for found, signed in await adjust_desk.store_of(engine).open()
        if found.deposit_id == deposit_id
    ]
    return {
        **_line(row),
        "tx_hash": row.tx_hash,
        "block_number": row.block_number,
        "address": row.address,
        "audit": [
            {"at": it.at.isoformat(), "actor": it.actor, "action": it.action, "detail": it.detail}
            for it in records
        ],
        "proposals": proposals,
    }


async def propose_release(
    engine: AsyncEngine,
    settings: Settings,
    deposit_id: str,
    customer: str,
    reason: str,
    by: str = "",
) -> Adjustment:
    """Propose to give a deposit in suspense to a customer; two officers must sign it."""
    row = await _load(engine, deposit_id)
    if row.state not in IN_SUSPENSE_STATES or row.reversed:
        standing = "no longer in the chain" if row.reversed else row.state
        raise DeskError(f"{deposit_id} is {standing}: there is nothing to release")
    found = await CustomerFileStore(engine, AuditStore()).find(customer)
    if found is None:
        raise DeskError(f"there is no customer {customer!r}")
    asset = row.asset.code
    posting = Posting(suspense(asset), main(found[0], asset), asset, row.amount)
    return await adjust_desk.propose(engine, settings, (posting,), reason, deposit_id, by)


async def propose_return(
    engine: AsyncEngine,
    settings: Settings,
    deposit_id: str,
    reason: str,
    by: str = "",
    *,
    anyway: bool = False,
) -> Adjustment:
    """Propose to pay a deposit in suspense back to its sender; two officers must sign it.

    A contract or an exchange's address is refused unless it is to be paid `anyway`; then officers
    sign the warning with the reason.
    """
    row = await _load(engine, deposit_id)
    if row.state not in IN_SUSPENSE_STATES:
        raise DeskError(f"{deposit_id} is {row.state}: there is nothing to return")
    chain = EvmChain(settings.chain_url)
    try:
        rules = return_rules(settings, engine, chain)
        objection, warning = await rules.objection(row), await rules.warning(row)
    except (ChainUnavailableError, ScreeningAwayError) as error:
        raise DeskError(f"not proposed, as nothing is known of its sender: {error}") from error
    finally:
        await chain.close()
    if objection is not None:
        raise DeskError(f"{deposit_id} is not returned: {objection}")
    if warning is not None and not anyway:
        raise DeskError(
            f"{deposit_id} is not returned by itself: {warning}. Ask the customer where to, or "
            "propose it with `rialto suspense return DEPOSIT_ID --anyway`"
        )
    asset = row.asset.code
    posting = Posting(suspense(asset), withdrawal_pending(asset), asset, row.amount)
    told = f"{reason.strip()} ({warning})" if warning else reason
    return await adjust_desk.propose(engine, settings, (posting,), told, deposit_id, by, row.sender)


async def _load(engine: AsyncEngine, deposit_id: str) -> Deposit:
    async with engine.connect() as connection:
        row = await read_deposit(connection, deposit_id)
    if row is None:
        raise DeskError(f"there is no {deposit_id}")
    return row


def suspended_amount(row: Deposit) -> int:
    """Return what is in suspense of a deposit, in chain units; negative where it is short."""
    held = row.amount if row.state in IN_SUSPENSE_STATES else 0
    return held - (row.amount if row.reversed else 0)


def _line(row: Deposit) -> dict[str, Any]:
    return {
        "deposit_id": row.deposit_id,
        "customer_id": row.customer_id,
        "asset": row.asset.code,
        "amount": text_from_units(suspended_amount(row), row.asset.chain_decimals),
        "state": row.state,
        "reason": row.reason or row.state,
        "sender": row.sender,
    }
