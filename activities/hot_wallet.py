"""Looks after the hot wallet: which deposit addresses to empty, and what goes to the cold one."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Protocol

import structlog
from temporalio import activity

from activities.wallet_ports import ChainAdapter, TransactionBuilder, WorkflowStarter
from domain.chain import COIN_DECIMALS, FeeQuote
from domain.hot_wallet import (
    MAX_GAS_SUPPLY,
    Band,
    DepositHolding,
    Holdings,
    TendRequest,
    TendResult,
    band_concerns,
    gas_supply,
)
from domain.money import text_from_units
from domain.wallet_payment import (
    WALLET_PAYMENT_WORKFLOW,
    NewPayment,
    PaymentKind,
    PaymentState,
    WalletPayment,
    WalletPaymentRequest,
    wallet_payment_workflow_id,
)

_BEAT_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class HotWalletRows(Protocol):
    """Bands and holdings; methods as in the store of the same name."""

    async def bands(self, chain: str) -> list[Band]:
        """Return every asset's bounds."""

    async def holdings(self, chain: str) -> list[Holdings]:
        """Return what there is of each asset."""

    async def cold_addresses(self, chain: str) -> Collection[str]:
        """Return the cold addresses whose coins are in the books."""

    async def to_sweep(self, chain: str, busy: Collection[str], most: int) -> list[DepositHolding]:
        """Return deposit addresses that hold more than their bound."""


class PlannedPayments(Protocol):
    """The rows of payments, as far as planning goes."""

    async def now(self) -> dt.datetime:
        """Return the rows' own time."""

    async def open(self) -> list[WalletPayment]:
        """Return the payments that are not final."""

    async def plan(self, wanted: Iterable[NewPayment], looked_at: dt.datetime) -> list[str]:
        """Write payments down, but for what others have begun or ended since; return their ids."""


class HotWalletActivities:
    """Plans payments; each has a row and a workflow of its own, and the signer's own opinion.

    `cold_address` tells where coins above the ceiling go: "" for nowhere.
    """

    def __init__(
        self,
        rows: HotWalletRows,
        payments: PlannedPayments,
        chain: ChainAdapter,
        builder: TransactionBuilder,
        starter: WorkflowStarter,
        gate: Callable[[], Awaitable[str]],
        *,
        name: str,
        hot_address: str,
        cold_address: Callable[[], str],
        max_fee: int,
    ) -> None:
        self._rows = rows
        self._payments = payments
        self._chain = chain
        self._builder = builder
        self._starter = starter
        self._gate = gate
        self._name = name
        self._hot_address = hot_address
        self._cold_address = cold_address
        self._max_fee = max_fee
        self.concerns: list[str] = []  # of the last look, for the heartbeat
        self._dear: dict[str, int] = {}  # of the last look: {address: gas that it lacks, in wei}

    @activity.defn(name="tend_hot_wallet")
    async def tend(self, request: TendRequest) -> TendResult:
        """Look again and again; nothing that a look meets ends the looking."""
        deadline = time.monotonic() + request.run_seconds
        while True:
            result = await self._look(request)
            if result.planned or time.monotonic() + request.every_seconds > deadline:
                return result
            turn = time.monotonic() + request.every_seconds
            while time.monotonic() < turn:
                activity.heartbeat(result.failed)
                if activity.is_worker_shutdown():
                    return result
                await asyncio.sleep(_BEAT_SECONDS)

    async def _look(self, request: TendRequest) -> TendResult:
        """Plan what is to be paid now, and start the workflows; what fails waits for a turn.

        Two looks at once, as after a break, may find the same: the rows take it once.
        """
        found: list[str] = []
        result = await self._looked(request, found)
        self.concerns = found
        return result

    async def _looked(self, request: TendRequest, concerns: list[str]) -> TendResult:
        """Return what a look came to; `concerns` gets what people should know."""
        try:
            bands = {band.asset.asset_id: band for band in await self._rows.bands(self._name)}
            stopped = await self._gate()
            concerns += [f"payments are stopped: {stopped}"] if stopped else []
            if all(band.has_no_bound for band in bands.values()):
                return TendResult(stopped=stopped)
            looked_at = await self._payments.now()
            holdings = await self._rows.holdings(self._name)
            concerns += [text for _, text in band_concerns(bands.values(), holdings)]
            if stopped:
                return TendResult(stopped=stopped)
            fees = await self._chain.fee_quote()
            if fees.max_fee > self._max_fee:
                return TendResult(stopped="gas is dear")
            underway = await self._payments.open()
            wanted = await self._cold(bands, holdings, underway)
            wanted += await self._sweeps(bands, underway, fees, request.most)
            concerns += self._dear_gas()
            names = await self._payments.plan(wanted, looked_at)
            for name in names:
                await self._starter.ensure_running(
                    WALLET_PAYMENT_WORKFLOW,
                    wallet_payment_workflow_id(name),
                    WalletPaymentRequest(name),
                )
            return TendResult(planned=len(names))
        except Exception as error:  # noqa: BLE001 - the chain is away, or something like that
            _log.warning("hot wallet not looked after", error=str(error)[:200])
            return TendResult(failed=type(error).__name__)

    async def _cold(
        self,
        bands: dict[int, Band],
        holdings: Sequence[Holdings],
        underway: Sequence[WalletPayment],
    ) -> list[NewPayment]:
        """Return what goes to the cold address, one payment an asset at a time.

        Nothing goes there before its coins are in the books: they would be counted twice.
        """
        cold = self._cold_address()
        going = {row.asset.asset_id for row in underway if row.kind is PaymentKind.COLD}
        if not cold or cold not in await self._rows.cold_addresses(self._name):
            return []
        found = []
        for holding in holdings:
            asset_id = holding.asset.asset_id
            amount = bands[asset_id].surplus(holding.available)
            if amount and asset_id not in going:
                found.append(
                    NewPayment(
                        PaymentKind.COLD, self._name, self._hot_address, cold, asset_id, amount
                    )
                )
        return found

    async def _sweeps(
        self,
        bands: dict[int, Band],
        underway: Sequence[WalletPayment],
        fees: FeeQuote,
        most: int,
    ) -> list[NewPayment]:
        """Return one payment for each full address: gas if a token's sweep lacks it, or a sweep."""
        busy = {row.source for row in underway} | {row.destination for row in underway}
        coin = next((it for it in bands.values() if it.asset.code == self._name), None)
        by_address: dict[str, list[DepositHolding]] = defaultdict(list)
        for holding in await self._rows.to_sweep(self._name, busy - {self._hot_address}, most):
            by_address[holding.address].append(holding)
        said, self._dear = self._dear, {}
        found = []
        for holdings in by_address.values():
            activity.heartbeat()
            first = min(holdings, key=lambda it: it.contract is None)  # coins pay the tokens' gas
            try:
                payment = await self._sweep(first, fees, coin)
            except Exception as error:  # noqa: BLE001 - a frozen address is no obstacle to others
                await self._chain.head()  # raises where it is the node that is away
                _log.warning("not_swept", address=first.address, error=str(error)[:200])
                continue
            if payment is not None:
                found.append(payment)
        for address in self._dear.keys() - said.keys():
            _log.warning("not_swept_for_its_gas", address=address, lacks_wei=self._dear[address])
        return found

    def _dear_gas(self) -> list[str]:
        """Return what to say of addresses whose sweep would need more gas than is supplied."""
        if not self._dear:
            return []
        most = text_from_units(max(self._dear.values()), COIN_DECIMALS)
        bound = text_from_units(MAX_GAS_SUPPLY, COIN_DECIMALS)
        told = (
            f"{len(self._dear)} deposit addresses are not swept: the gas for one would take {most} "
            f"{self._name}, and at most {bound} is supplied; wait for a quieter chain"
        )
        return [told]

    async def _sweep(
        self, holding: DepositHolding, fees: FeeQuote, coin: Band | None
    ) -> NewPayment | None:
        state = await self._chain.address_state(holding.address, {None, holding.contract})
        amount = min(holding.amount, state.balances[holding.contract])
        if amount <= 0:
            return None
        sweep = NewPayment(
            PaymentKind.SWEEP,
            self._name,
            holding.address,
            self._hot_address,
            holding.asset.asset_id,
            amount,
            holding.path,
        )
        if holding.contract is None or coin is None:
            return sweep
        to, value, data = self._builder.call(
            WalletPayment(
                payment_id="",
                kind=sweep.kind,
                chain=self._name,
                source=sweep.source,
                destination=sweep.destination,
                deposit_path=sweep.deposit_path,
                asset=holding.asset,
                contract=holding.contract,
                amount=amount,
                confirmations=1,
                state=PaymentState.PLANNED,
            )
        )
        gas = await self._chain.gas_for(holding.address, to, value, data)
        lacking = gas_supply(state.balances[None], gas * fees.max_fee)
        if not lacking:
            return sweep
        if lacking > MAX_GAS_SUPPLY:
            self._dear[holding.address] = lacking
            return None
        return NewPayment(
            PaymentKind.GAS,
            self._name,
            self._hot_address,
            holding.address,
            coin.asset.asset_id,
            lacking,
            holding.path,
        )
