"""Steps of a change of a market: signatures, the engine's command, the rows that follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.approval import Decision, Officer, VerifySignature, parse_decision
from domain.commands import Command
from domain.errors import RejectReason
from domain.events import (
    CommandRejected,
    Event,
    FundToppedUp,
    KeyDuplicate,
    ParametersSet,
    PerpetualStateSet,
    RiskParametersSet,
    SymbolDelisted,
    SymbolListed,
)
from domain.instrument import Instrument
from domain.market_change import (
    AbandonRequest,
    Applied,
    ChangeKind,
    ChangeRequest,
    ChangeState,
    ChangeView,
    Confirmation,
    MarketChange,
    command_of,
)
from domain.two_signatures import SignRequest, valid_signatures

_LOOK_SECONDS, _LOOKS = 0.1, 100


class MarketChangeRows(Protocol):
    """The rows of changes."""

    async def load(self, change_id: str) -> tuple[MarketChange, dict[str, str]]:
        """Return the change and its signatures."""

    async def sign(
        self,
        change_id: str,
        decision: Decision,
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        now: int,
    ) -> str | None:
        """Add a signature, or return why it does not count."""

    async def prepare(
        self, change_id: str, valid: Callable[[MarketChange, Mapping[str, str]], int]
    ) -> tuple[MarketChange, Instrument] | str:
        """Write what comes before the engine, or return why the change may not be sent."""

    async def refused(self, change_id: str, attempt: int, reason: str) -> None:
        """Write down that the engine refused an attempt."""

    async def listed_at(self, symbol_id: int) -> int | None:
        """Return the sequence of a market's listing, as far as the rows have followed."""

    async def settled_at(self, shard: int, symbol_id: int) -> int | None:
        """Return at which sequence a perpetual began to end, as far as the rows have followed."""

    async def confirm(self, change_id: str, sequence: int) -> int | None:
        """Close a change that the rows have followed; None: not yet."""

    async def expire(self, change_id: str) -> None:
        """Close it unsigned."""

    async def abandon(self, change_id: str, by: str, reason: str) -> str | None:
        """Give it up, or return why that is too late."""


class AdminDoor(Protocol):
    """An engine's door for administration. What it cannot answer is raised, and safe to repeat."""

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Run one command and return its events, the outcome first."""


class MarketChangeActivities:
    """The activities of the workflow; `officers` are the worker's pinned keys.

    `treasuries` are the engines' doors for money, which a fund's cash goes through.
    """

    def __init__(
        self,
        rows: MarketChangeRows,
        doors: Mapping[int, AdminDoor],
        treasuries: Mapping[int, AdminDoor],
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        now: Callable[[], int],
    ) -> None:
        self._rows = rows
        self._doors = doors
        self._treasuries = treasuries
        self._officers = officers
        self._verify = verify
        self._now = now

    @activity.defn(name="load_market_change")
    async def load(self, request: ChangeRequest) -> ChangeView:
        """Return how it stands."""
        change, signatures = await self._rows.load(request.change_id)
        return ChangeView(
            state=change.state,
            headline=change.summary(),
            signatures=len(signatures),
            seconds_left=max(0, change.expiry - self._now()),
            symbol=change.symbol,
            sequence=change.sequence,
        )

    @activity.defn(name="sign_market_change")
    async def sign(self, request: SignRequest) -> str:
        """Return "" when the signature counts, else why it does not."""
        decision = parse_decision(request.decision)
        if decision is None:
            return "not a signed decision"
        refusal = await self._rows.sign(
            request.proposal_id, decision, self._officers, self._verify, self._now()
        )
        return refusal or ""

    @activity.defn(name="apply_market_change")
    async def apply(self, request: ChangeRequest) -> Applied:
        """Send the change to its engine; under its key that has an effect once.

        An engine that refuses parks the workflow, with the reason; one that is away is retried.
        """
        prepared = await self._rows.prepare(request.change_id, self._valid)
        if isinstance(prepared, str):
            raise ApplicationError(prepared, type="ChangeRefused", non_retryable=True)
        change, market = prepared
        if change.state is not ChangeState.PROPOSED:
            return Applied(change.sequence)
        doors = self._treasuries if change.kind is ChangeKind.TOP_UP else self._doors
        door = doors[change.shard]
        outcome = (await door.submit(command_of(change, market)))[0]
        while isinstance(outcome, SymbolDelisted) and outcome.open_orders:
            activity.heartbeat(outcome.open_orders)
            outcome = (await door.submit(command_of(change, market)))[0]
        sequence = await self._sequence(change, outcome)
        if isinstance(sequence, RejectReason):
            words = sequence.name.lower().replace("_", " ")
            await self._rows.refused(change.change_id, change.attempt, words)
            raise ApplicationError(
                f"the engine refuses: {words}", type="PublicEngineRefused", non_retryable=True
            )
        return Applied(sequence)

    async def _sequence(self, change: MarketChange, outcome: Event) -> int | RejectReason:
        """Return the sequence at which it took effect, or why the engine refuses."""
        match outcome:
            case SymbolListed() | ParametersSet() | SymbolDelisted():
                return outcome.sequence
            case RiskParametersSet() | PerpetualStateSet() | FundToppedUp():
                return outcome.sequence
            case KeyDuplicate(first_reason=RejectReason.NONE, same_body=True):
                return outcome.first_sequence
            case KeyDuplicate(same_body=True):
                return outcome.first_reason
            case CommandRejected(reason=RejectReason.SYMBOL_ALREADY_LISTED):
                # by an attempt whose key the engine has forgotten since: the number is ours alone
                listed = change.kind is ChangeKind.LIST and await self._rows.listed_at(
                    change.symbol_id
                )
                return listed or outcome.reason
            case CommandRejected(reason=RejectReason.STATE_UNCHANGED):
                # an attempt before this one may have done it: that command has no key
                settled = change.kind is ChangeKind.SETTLE and await self._rows.settled_at(
                    change.shard, change.symbol_id
                )
                return settled or outcome.reason
            case CommandRejected():
                return outcome.reason
            case _:
                raise TypeError(f"the engine answered a change with {outcome}")

    def _valid(self, change: MarketChange, signatures: Mapping[str, str]) -> int:
        return valid_signatures(change, signatures, self._officers, self._verify)

    @activity.defn(name="confirm_market_change")
    async def confirm(self, request: Confirmation) -> int:
        """Wait until the rows show the change; return its sequence.

        Where they are further behind, the step fails and is tried again.
        """
        for _ in range(_LOOKS):
            sequence = await self._rows.confirm(request.change_id, request.sequence)
            if sequence is not None:
                return sequence
            activity.heartbeat(request.sequence)
            await asyncio.sleep(_LOOK_SECONDS)
        raise ApplicationError(
            "the process order-history has not written it yet", type="RowsBehind"
        )

    @activity.defn(name="expire_market_change")
    async def expire(self, request: ChangeRequest) -> None:
        """Close it unsigned."""
        await self._rows.expire(request.change_id)

    @activity.defn(name="abandon_market_change")
    async def abandon(self, request: AbandonRequest) -> str:
        """Give it up; return "" or why that is too late."""
        return await self._rows.abandon(request.change_id, request.by, request.reason) or ""
