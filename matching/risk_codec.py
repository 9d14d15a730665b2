"""Commands and events of perpetuals between dataclasses and stripes: `matching/risk_wire.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from domain import risk_commands as c
from domain import risk_events as e
from domain.circuit_breaker import Trip
from domain.event_type import EventType
from domain.market_rules import MarketRules
from domain.opcode import Opcode
from domain.order import Side
from domain.perpetual_state import PerpetualState, StateTrigger
from domain.perpetual_terms import MAX_BRACKETS, NO_ROW, TERM_NAMES, BracketRow, PerpetualTerms
from domain.risk_commands import RiskCommand
from domain.risk_events import RiskEvent
from matching.market_codec import pack_rules, unpack_market
from matching.risk_wire import (
    BRACKET_FIELDS,
    BRACKET_ROW,
    INDEX_STRIPES,
    STEP_STRIPE,
    TERMS_WORDS,
)

_STRIPE = 64
_TERMS_STRIPES = 6
_TRIGGERS = tuple(StateTrigger)  # the wire number is the place, from 1
_TRIPS = tuple(Trip)
Fields = dict[str, Any]


class Body(NamedTuple):
    """What a command says in its first stripe, and the stripes that follow."""

    symbol: int = 0
    account: int = 0
    key: int = 0
    a: int = 0
    b: int = 0
    flags: int = 0
    extension: bytes = b""


def pack_terms(terms: PerpetualTerms) -> bytes:
    """Return the six stripes of terms."""
    if len(terms.brackets) > MAX_BRACKETS:
        raise ValueError(f"{len(terms.brackets)} brackets")
    rows = (*terms.brackets, *(NO_ROW,) * (MAX_BRACKETS - len(terms.brackets)))
    words = TERMS_WORDS.pack(*(getattr(terms, name) for name in TERM_NAMES))
    return words + b"".join(
        BRACKET_ROW.pack(row.floor_units, row.mmr_ppm, row.imr_ppm) for row in rows
    )


def unpack_terms(data: bytes, offset: int) -> PerpetualTerms:
    """Return the terms at `offset`; rows behind the last one that is not zero are none."""
    named = dict(zip(TERM_NAMES, TERMS_WORDS.unpack_from(data, offset), strict=True))
    start = offset + TERMS_WORDS.size
    rows = BRACKET_ROW.iter_unpack(data[start : start + MAX_BRACKETS * BRACKET_ROW.size])
    return PerpetualTerms(_used([BracketRow(*row) for row in rows]), **named)


def _used(rows: list[BracketRow]) -> tuple[BracketRow, ...]:
    while rows and rows[-1] == NO_ROW:
        rows.pop()
    return tuple(rows)


def terms_extension(data: bytes, offset: int) -> bytes:
    """Return the terms' stripes of the LIST_PERPETUAL or SET_RISK_PARAMETERS at `offset`."""
    end = offset + data[offset + 18] * _STRIPE
    return data[end - _TERMS_STRIPES * _STRIPE : end]


def pack(command: RiskCommand, said: Callable[[str, str], bytes]) -> Body:
    """Return what a command says; `said` packs who and why."""
    match command:
        case c.ListPerpetual():
            rules = command.rules
            a, b = rules.base_units_per_lot, rules.quote_units_per_tick_lot
            extension = pack_rules(rules) + pack_terms(command.terms)
            return Body(rules.symbol_id, 0, command.key, a, b, 0, extension)
        case c.SetRiskParameters():
            terms = pack_terms(command.terms)
            return Body(command.symbol_id, key=command.key, extension=terms)
        case c.SetLeverage():
            return Body(command.symbol_id, command.account_id, a=command.leverage)
        case c.SetMarginMode():
            return Body(command.symbol_id, command.account_id, a=command.mode)
        case c.MoveMargin():
            money = (command.amount_units, command.created_at_us)
            return Body(command.symbol_id, command.account_id, command.key, *money)
        case c.SetIndex():
            prices = INDEX_STRIPES.pack(*command.prices_ticks, *command.times_us)
            return Body(command.symbol_id, extension=prices)
        case c.SetPerpetualState():
            extension = said(command.actor, command.reason)
            return Body(command.symbol_id, a=command.trigger, extension=extension)
        case c.TopUpFund():
            money = (command.amount_units, command.created_at_us)
            return Body(command.asset_id, 0, command.key, *money)
        case c.SweepDust():
            return Body(command.asset_id, 0, command.key, 0, command.created_at_us)
        case c.SettleFunding():
            return Body(command.symbol_id, 0, command.key, command.funding_time_us)
        case c.Unwind():
            return Body(command.symbol_id, 0, command.key, command.lots, command.limit_ticks)
        case c.SettleMarket():
            return Body(command.symbol_id, 0, command.key)
        case _:
            return _pack_step(command)


def _pack_step(
    command: c.Freeze | c.Unfreeze | c.Liquidate | c.TakeOver | c.Deleverage,
) -> Body:
    """Return what a step of a liquidation says."""
    about = (command.symbol_id, command.account_id, command.key)
    match command:
        case c.Freeze():
            return Body(*about)
        case c.Unfreeze():
            return Body(*about, command.expected_scope_version)
        case c.Liquidate():
            step = STEP_STRIPE.pack(command.expected_scope_version, 0)
            may_pay = int(command.fund_may_pay)
            return Body(*about, command.lots, command.limit_ticks, may_pay, step)
        case c.TakeOver():
            step = STEP_STRIPE.pack(command.expected_scope_version, 0)
            return Body(*about, command.lots, extension=step)
        case c.Deleverage():
            step = STEP_STRIPE.pack(command.expected_scope_version, command.counterparty_id)
            return Body(*about, command.lots, extension=step)


def unpack(opcode: int, body: Body, said: Callable[[], tuple[str, str]]) -> RiskCommand:
    """Return the command of a body; `said` gives who and why. `ValueError` for unknown numbers."""
    symbol, account, key, a, b, flags, extension = body
    version, counterparty = STEP_STRIPE.unpack_from(extension) if extension else (0, 0)
    match opcode:
        case Opcode.LIST_PERPETUAL:
            rules = unpack_market(MarketRules, (symbol, a, b), extension)
            return c.ListPerpetual(rules, unpack_terms(extension, 2 * _STRIPE), key)
        case Opcode.SET_RISK_PARAMETERS:
            return c.SetRiskParameters(symbol, unpack_terms(extension, 0), key)
        case Opcode.SET_LEVERAGE:
            return c.SetLeverage(account, symbol, a)
        case Opcode.SET_MARGIN_MODE:
            return c.SetMarginMode(account, symbol, c.MarginMode(a))
        case Opcode.MOVE_MARGIN:
            return c.MoveMargin(key, account, symbol, a, b)
        case Opcode.SET_INDEX:
            words = INDEX_STRIPES.unpack_from(extension)
            return c.SetIndex(symbol, words[:8], words[8:])
        case Opcode.SET_PERPETUAL_STATE:
            return c.SetPerpetualState(symbol, c.Trigger(a), *said())
        case Opcode.SETTLE_FUNDING:
            return c.SettleFunding(key, symbol, a)
        case Opcode.FREEZE:
            return c.Freeze(key, account, symbol)
        case Opcode.UNFREEZE:
            return c.Unfreeze(key, account, symbol, a)
        case Opcode.LIQUIDATE:
            may_pay = bool(flags & 1)
            return c.Liquidate(key, account, symbol, a, b, version, fund_may_pay=may_pay)
        case Opcode.TAKE_OVER:
            return c.TakeOver(key, account, symbol, a, version)
        case Opcode.DELEVERAGE:
            return c.Deleverage(key, account, symbol, counterparty, a, version)
        case Opcode.UNWIND:
            return c.Unwind(key, symbol, a, b)
        case Opcode.TOP_UP_FUND:
            return c.TopUpFund(key, symbol, a, b)
        case Opcode.SWEEP_DUST:
            return c.SweepDust(key, symbol, b)
        case _:
            return c.SettleMarket(key, symbol)


# -- events -------------------------------------------------------------------------------


def _key(fields: Fields) -> int:
    low: int = fields.pop("key_low")
    high: int = fields.pop("key_high")
    return low | high << 64


def _plain(kind: type[RiskEvent], *flags: str) -> Callable[..., RiskEvent]:
    """Return what builds an event whose fields are the wire's; `flags` name the bits from 0."""
    keyed = "key" in kind.__dataclass_fields__
    about = "asset_id" if "asset_id" in kind.__dataclass_fields__ else "symbol_id"

    def build(sequence: int, index: int, symbol: int, word: int, f: Fields) -> RiskEvent:
        if keyed:
            f["key"] = _key(f)
        for bit, name in enumerate(flags):
            value = word >> bit & 1
            f[name] = Side(value) if name.endswith("side") else bool(value)
        f[about] = symbol
        return kind(sequence=sequence, index=index, **f)

    return build


def _terms_set(sequence: int, index: int, symbol: int, _: int, f: Fields) -> RiskEvent:
    rows = [
        BracketRow(*(f[f"{name}_{row}"] for name, _ in BRACKET_FIELDS))
        for row in range(1, MAX_BRACKETS + 1)
    ]
    terms = PerpetualTerms(_used(rows), **{name: f[name] for name in TERM_NAMES})
    return e.RiskParametersSet(sequence, index, f["time_us"], symbol, terms)


def _state_set(sequence: int, index: int, symbol: int, _: int, f: Fields) -> RiskEvent:
    if not 1 <= f["trigger"] <= len(_TRIGGERS) or not 0 <= f["trip"] <= len(_TRIPS):
        raise ValueError(f"trigger {f['trigger']}, trip {f['trip']}")
    said = f.get("reason", b"") + f.get("reason_more", b"")
    return e.PerpetualStateSet(
        sequence,
        index,
        f["time_us"],
        symbol,
        PerpetualState(f["state"]),
        PerpetualState(f["previous_state"]),
        _TRIGGERS[f["trigger"] - 1],
        _TRIPS[f["trip"] - 1] if f["trip"] else None,
        f.get("actor", b"").rstrip(b"\0").decode("ascii"),
        said.rstrip(b"\0").decode("ascii"),
    )


def _mode_set(sequence: int, index: int, symbol: int, _: int, f: Fields) -> RiskEvent:
    f["mode"] = c.MarginMode(f["mode"])
    return e.MarginModeSet(sequence, index, symbol_id=symbol, **f)


FLAGS: dict[EventType, tuple[str, ...]] = {
    EventType.PERPETUAL_TRADE: ("taker_side", "maker_isolated", "taker_isolated"),
    EventType.INDEX_SET: ("mark_is_fresh",),
    EventType.FUNDING_PAID: ("isolated",),
    EventType.SCOPE_STATE: ("frozen",),
    EventType.LIQUIDATION_PLACED: ("side", "fund_may_pay"),
    EventType.UNWIND_PLACED: ("side",),
    EventType.TAKEN_OVER: ("isolated",),
    EventType.DELEVERAGED: ("isolated", "counterparty_isolated"),
    EventType.POSITION_SETTLED: ("isolated",),
}
"""The flags word of each event, from bit 0."""

RISK_BUILD: dict[EventType, Callable[[int, int, int, int, Fields], RiskEvent]] = {
    kind.event_type: _plain(kind, *FLAGS.get(kind.event_type, ()))
    for kind in (
        e.PerpetualTrade,
        e.IndexSet,
        e.LeverageSet,
        e.MarginMoved,
        e.FundingSettled,
        e.FundingPaid,
        e.ScopeFrozen,
        e.ScopeUnfrozen,
        e.ScopeState,
        e.LiquidationPlaced,
        e.UnwindPlaced,
        e.TakenOver,
        e.Deleveraged,
        e.FundToppedUp,
        e.DustSwept,
        e.PositionSettled,
        e.MarketSettled,
    )
} | {
    EventType.RISK_PARAMETERS_SET: _terms_set,
    EventType.PERPETUAL_STATE_SET: _state_set,
    EventType.MARGIN_MODE_SET: _mode_set,
}


def flags_of(event: Any) -> int:
    """Return the flags word of an event."""
    names = FLAGS.get(event.event_type, ())
    return sum(int(getattr(event, name)) << bit for bit, name in enumerate(names))


def trigger_number(trigger: StateTrigger) -> int:
    """Return the wire number of a trigger."""
    return _TRIGGERS.index(trigger) + 1


def trip_number(trip: Trip | None) -> int:
    """Return the wire number of what tripped the breaker; 0 for nothing."""
    return 0 if trip is None else _TRIPS.index(trip) + 1


def value_of(event: Any, name: str) -> int | None:
    """Return a field that is not an attribute of its event by the same name and type, or None."""
    match event:
        case e.RiskParametersSet() if name != "time_us":
            return _term(event.terms, name)
        case e.PerpetualStateSet() if name == "trigger":
            return trigger_number(event.trigger)
        case e.PerpetualStateSet() if name == "trip":
            return trip_number(event.trip)
        case _:
            return None


def _term(terms: PerpetualTerms, name: str) -> int:
    if name in TERM_NAMES:
        return int(getattr(terms, name))
    field, _, row = name.rpartition("_")
    number = int(row) - 1
    return int(getattr(terms.brackets[number], field)) if number < len(terms.brackets) else 0
