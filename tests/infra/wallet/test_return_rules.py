"""Who is paid back, who only by a decision of his own, and who never."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.deposit import ConfirmationTier, Deposit, DepositState
from domain.instrument import Asset
from domain.screening import Screening, ScreeningResult, Verdict
from infra.postgres import tables
from infra.postgres.engine import create
from infra.wallet.return_rules import ReturnRules, exchanges_path
from tests.infra.postgres.conftest import ETH_ROW

pytestmark = pytest.mark.servers
HOT = "0xBd20a107Ebf9E08C6e972EA5cc4059aA32267Bd0"
OURS = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"
COLD = "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"
TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
SENDER = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"
CONTRACT = "0x976EA74026E726554dB657fA54763abd0C3a0aa9"


class Chain:
    """A chain with one contract."""

    async def has_code(self, address: str) -> bool:
        return address == CONTRACT


class Screener:
    """Says the same of everybody."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    async def screen(self, asked: Screening) -> ScreeningResult:
        return ScreeningResult(self._verdict, "rule-7", "1")


@pytest.fixture
async def engine(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a database with a token, a customer's address and a cold one."""
    engine = create(fresh_database)
    async with engine.begin() as connection:
        await connection.execute(tables.asset.insert(), ETH_ROW | {"contract": TOKEN})
        await connection.execute(
            tables.customer.insert(), {"customer_id": 1, "name": "c1", "deposit_index": 1}
        )
        await connection.execute(
            tables.deposit_address.insert(),
            {"chain": "ETH", "address": OURS, "customer_id": 1, "path": "m/1"},
        )
        await connection.execute(tables.cold_address.insert(), {"chain": "ETH", "address": COLD})
    yield engine
    await engine.dispose()


def _deposit(sender: str, *, log_index: int = 0, turns: int = 0, owner: int | None = 1) -> Deposit:
    return Deposit(
        deposit_id="deposit-ETH-0xab-0",
        chain="ETH",
        tx_hash="0xab",
        log_index=log_index,
        block_number=1,
        block_hash="0xb1",
        address=OURS,
        customer_id=owner,
        asset=Asset(2, "ETH", 18, 9),
        amount=5,
        minimum=9,
        state=DepositState.BELOW_MINIMUM,
        confirmations=3,
        tier=ConfirmationTier("standard", 0, 3),
        transfer_id=None,
        reason=None,
        sender=sender,
        turns=turns,
    )


async def test_our_own_the_blocked_and_what_is_no_address_are_never_paid(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    """Whoever signs; a doubt that officers may settle is none of these."""

    def rules(verdict: Verdict) -> ReturnRules:
        return ReturnRules(engine, Chain(), Screener(verdict), tmp_path, HOT)

    clear = rules(Verdict.CLEAR)
    for ours in (HOT, OURS, COLD, TOKEN):
        assert await clear.objection(_deposit(ours)) == "its sender is an address of our own"
    for nobody in ("", SENDER.lower(), "0x" + "0" * 40):
        assert "no address that can be paid" in (await clear.objection(_deposit(nobody)) or "")
    assert await clear.objection(_deposit(SENDER, turns=1)) == "the chain has lost it"
    assert await clear.objection(_deposit(SENDER, owner=None)) == "it is the hot wallet's own"
    said = await rules(Verdict.BLOCKED).objection(_deposit(SENDER))
    assert said == "its sender is blocked (sanctions:rule-7): nothing is paid there"
    assert await rules(Verdict.REVIEW).objection(_deposit(SENDER)) is None
    assert await clear.objection(_deposit(SENDER)) is None


async def test_contracts_and_exchanges_are_warned_of(engine: AsyncEngine, tmp_path: Path) -> None:
    """Who has the address cannot be told to be who has sent it."""
    rules = ReturnRules(engine, Chain(), Screener(Verdict.CLEAR), tmp_path, HOT)
    assert await rules.warning(_deposit(SENDER)) is None
    assert "is a contract" in (await rules.warning(_deposit(CONTRACT)) or "")
    assert "is a contract" in (await rules.warning(_deposit(SENDER, log_index=-2)) or "")
    listed = exchanges_path(tmp_path)
    listed.parent.mkdir(parents=True)
    listed.write_text(f"{SENDER}  # a big one\n")
    assert "an exchange's address" in (await rules.warning(_deposit(SENDER)) or "")
