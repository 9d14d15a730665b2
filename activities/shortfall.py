"""Steps of a shortfall: restrict the market, check an officer's signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.risk_ports import RiskDoor, RiskNews
from domain.approval import Officer, VerifySignature, parse_decision
from domain.errors import RejectReason
from domain.events import CommandRejected
from domain.risk_commands import SetPerpetualState, Trigger
from domain.shortfall import Restriction, ShortfallSignature
from domain.two_signatures import signature_refusal

ACTOR = "liquidation"


class ShortfallActivities:
    """The activities `restrict_market` and `check_shortfall_signature`."""

    def __init__(
        self,
        doors: Callable[[int], tuple[RiskDoor, RiskNews]],
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        clock: Callable[[], int],
    ) -> None:
        self._doors = doors
        self._officers = officers
        self._verify = verify
        self._clock = clock

    @activity.defn(name="restrict_market")
    async def restrict(self, request: Restriction) -> str:
        """Tell the engine of a shortfall, once; return the market's state.

        A second shortfall halts a market, so a repeat must not look like one: the picture tells
        whether this one is the market's last word already. A halted market stays so.
        """
        door, news = self._doors(request.shard)
        market = news.picture.markets[request.symbol_id]
        if market.said == (ACTOR, request.reason):
            return market.state.name
        events = await door.submit(
            SetPerpetualState(request.symbol_id, Trigger.SHORTFALL, ACTOR, request.reason)
        )
        await news.reached(events[0].sequence)
        head = events[0]
        if isinstance(head, CommandRejected) and head.reason is not RejectReason.STATE_UNCHANGED:
            raise ApplicationError(
                f"the engine refuses to restrict market {request.symbol_id}: {head.reason.name}",
                type="PublicEngineRefused",
                non_retryable=True,
            )
        return market.state.name

    @activity.defn(name="check_shortfall_signature")
    async def check(self, request: ShortfallSignature) -> str:
        """Return why a signature does not count, "" when it does."""
        decision = parse_decision(request.decision)
        if decision is None:
            return "a decision has exactly officer, action, statement and signature_hex"
        refusal = signature_refusal(
            decision,
            request.shortfall,
            officers=self._officers,
            signed=request.signed,
            now=self._clock(),
            verify=self._verify,
        )
        return refusal or ""
