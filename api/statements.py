"""From fills, funding, deposits and withdrawals to the lines of a statement.

The lines of an asset add up to what its balance changed by. Nothing is rounded: every amount is
what was booked, in the asset's own units.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from api.errors import Problem
from api.order_answers import instrument_of
from api.schemas.statements import StatementKind, StatementLineOut
from api.services import Services
from domain.deposit import DepositState
from domain.instrument import Asset
from domain.market import Listings
from domain.order import Side
from domain.order_record import FillRecord
from domain.perpetual_record import PositionEvent
from domain.wallet_record import DepositRecord, RowPlace, WithdrawalRecord
from domain.withdrawal import WithdrawalState

LONGEST_STATEMENT = 10_000
_PAGE = 500
_COLUMNS = tuple(StatementLineOut.model_fields)

Record = TypeVar("Record", FillRecord, PositionEvent, DepositRecord, WithdrawalRecord)
Place = TypeVar("Place", tuple[int, ...], RowPlace)


async def statement_lines(
    services: Services, customer_id: int, from_us: int, to_us: int
) -> list[StatementLineOut]:
    """Return the lines of [from, to), oldest first; `Problem` when there are too many."""
    listings, wallet = services.listings, services.wallet
    fills = await _within(
        lambda before, limit: services.orders.fills(customer_id, 0, 0, before, limit),
        lambda one: (one.time_us, one.trade_id, int(one.is_maker)),
        (to_us, 0, 0),
        from_us,
    )
    events = await _within(
        lambda before, limit: services.positions.events(customer_id, 0, None, before, limit),
        lambda one: (one.time_us, one.shard, one.sequence, one.index),
        (to_us, 0, 0, 0),
        from_us,
    )
    deposits = await _within(
        lambda before, limit: wallet.deposits(customer_id, before, limit),
        lambda one: one.place,
        (to_us, ""),
        from_us,
    )
    withdrawals = await _within(
        lambda before, limit: wallet.withdrawals(customer_id, before, limit),
        lambda one: one.place,
        (to_us, ""),
        from_us,
    )
    lines = [line for fill in fills for line in _of_fill(fill, listings)]
    lines += [_of_event(event, listings) for event in events]
    lines += [line for deposit in deposits for line in _of_deposit(deposit, listings)]
    lines += [line for one in withdrawals for line in _of_withdrawal(one, listings)]
    if len(lines) > LONGEST_STATEMENT:
        raise _too_long()
    return sorted(lines, key=lambda line: line.time_us)


def as_csv(lines: Sequence[StatementLineOut]) -> str:
    """Return the lines as CSV with a header (RFC 4180); what is absent is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for line in lines:
        writer.writerow("" if value is None else value for _, value in line)
    return text.getvalue()


async def _within(
    page: Callable[[Place, int], Awaitable[Sequence[Record]]],
    place: Callable[[Record], Place],
    end: Place,
    from_us: int,
) -> list[Record]:
    """Return the records from `from_us` on, before the place `end`: page by page back from there.

    Places begin with a time; newest first, as the stores have them.
    """
    found: list[Record] = []
    while True:
        last = await page(end, _PAGE)
        kept = [record for record in last if place(record)[0] >= from_us]
        found += kept
        if len(kept) < _PAGE:
            return found
        if len(found) > LONGEST_STATEMENT:
            raise _too_long()
        end = place(last[-1])


def _too_long() -> Problem:
    return Problem("statement_too_long", f"It has more than {LONGEST_STATEMENT} lines.")


def _of_fill(fill: FillRecord, listings: Listings) -> Iterator[StatementLineOut]:
    """Yield what a fill changed: on spot both assets, on a perpetual the profit, and the fee."""
    instrument = instrument_of(listings, fill.symbol_id)
    quote = instrument.quote

    def line(kind: StatementKind, asset: Asset, units: int) -> StatementLineOut:
        return StatementLineOut(
            time_us=fill.time_us,
            kind=kind,
            asset=asset.code,
            change=asset.engine_text(units),
            symbol=instrument.symbol,
            order_id=str(fill.order_id),
            reference=str(fill.trade_id),
        )

    if fill.realised_units is None:
        sign = 1 if fill.side is Side.BUY else -1
        yield line("trade", instrument.base, sign * instrument.base_units(fill.quantity_lots))
        yield line("trade", quote, -sign * fill.quote_units)
    elif fill.realised_units:
        yield line("realised_profit", quote, fill.realised_units)
    if fill.insurance_units:
        yield line("insurance", quote, -fill.insurance_units)
    if fill.fee_units:
        yield line("fee", quote, -fill.fee_units)


def _of_event(event: PositionEvent, listings: Listings) -> StatementLineOut:
    instrument = instrument_of(listings, event.symbol_id)
    return StatementLineOut(
        time_us=event.time_us,
        kind=event.kind.value,
        asset=instrument.quote.code,
        change=instrument.quote.engine_text(event.amount_units),
        symbol=instrument.symbol,
        reference=str(event.sequence),
    )


def _of_deposit(deposit: DepositRecord, listings: Listings) -> Iterator[StatementLineOut]:
    if deposit.state == DepositState.CREDITED:
        reference = deposit.deposit_id
        yield _of_wallet(
            "deposit", deposit.asset_id, deposit.amount, deposit.created_at_us, reference, listings
        )


def _of_withdrawal(withdrawal: WithdrawalRecord, listings: Listings) -> Iterator[StatementLineOut]:
    """Yield what was paid, and the fee that is a part of the withdrawal's amount."""
    if withdrawal.state != WithdrawalState.SETTLED:
        return
    reference, time_us = str(withdrawal.withdrawal_id), withdrawal.created_at_us
    paid = withdrawal.amount - withdrawal.fee
    yield _of_wallet("withdrawal", withdrawal.asset_id, -paid, time_us, reference, listings)
    if withdrawal.fee:
        fee = -withdrawal.fee
        yield _of_wallet("withdrawal_fee", withdrawal.asset_id, fee, time_us, reference, listings)


def _of_wallet(
    kind: StatementKind, asset_id: int, units: int, time_us: int, reference: str, listings: Listings
) -> StatementLineOut:
    listing = listings.asset_by_id(asset_id)
    assert listing is not None, "what was deposited or withdrawn is listed"
    return StatementLineOut(
        time_us=time_us,
        kind=kind,
        asset=listing.asset.code,
        change=listing.asset.chain_text(units),
        reference=reference,
    )
