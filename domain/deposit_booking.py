"""What a deposit does in the ledger: booked, taken back by a reorganisation, restored.

Coins on our addresses are in the books whoever they belong to; what is nobody's balance (yet) is
in suspense.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.deposit import Deposit, DepositChange, DepositState, Dust
from domain.hash_chain import JsonValue
from domain.ledger import (
    JournalRequest,
    Posting,
    capital,
    main,
    suspense,
    wallet_cold,
    wallet_deposit,
    wallet_hot,
)
from domain.screening import SANCTIONS, ScreeningResult, Verdict

STREAM = "wallet"


def booking(
    row: Deposit, dust: Sequence[Dust], depth: int, screening: ScreeningResult | None
) -> DepositChange:
    """Return how a confirmed payment is booked, `depth` blocks deep.

    `dust` are the owner's earlier deposits of the asset that were below the minimum: they are
    credited with this one as soon as all together reach it. `screening` is what is said of the
    sender; None where there is no owner. What is not clear is for two officers to decide.
    """
    asset, owner, detail = row.asset.code, row.customer_id, _detail(row, depth)
    if owner is None:
        posting = Posting(_coins(row), capital(asset), asset, row.amount)
        return _change(row, DepositState.REFILLED, "refill", (posting,), detail)
    coins = _coins(row)
    kept = Posting(coins, suspense(asset), asset, row.amount)
    if screening is not None:
        detail |= {"screening": screening.as_json()}
    if screening is not None and screening.verdict is not Verdict.CLEAR:
        refusal = f"{SANCTIONS}:{screening.rule}"
        return _change(row, DepositState.SUSPENDED, "deposit_suspended", (kept,), detail, refusal)
    collected = sum(it.amount for it in dust)
    if row.amount + collected < row.minimum:
        reason = DepositState.BELOW_MINIMUM
        return _change(row, reason, "deposit_below_minimum", (kept,), detail, reason)
    postings = [Posting(coins, main(owner, asset), asset, row.amount)]
    if collected:
        postings.append(Posting(suspense(asset), main(owner, asset), asset, collected))
        detail |= {"collected": str(collected)}
    names = tuple(it.deposit_id for it in dust)
    return _change(
        row, DepositState.POSTED, "deposit", tuple(postings), detail, None, collects=names
    )


def reversal(row: Deposit) -> JournalRequest:
    """Return what a reorganisation after posting does: the coins are gone, suspense is short.

    What the customer was credited is left alone, as it may be anywhere by now; a refill takes back
    the owners' capital.
    """
    return _turn(row, "deposit_reversed", back=True)


def restoration(row: Deposit) -> JournalRequest:
    """Return what undoes `reversal` when the payment lies deep in the chain again."""
    return _turn(row, "deposit_restored", back=False)


def _turn(row: Deposit, kind: str, *, back: bool) -> JournalRequest:
    asset = row.asset.code
    ways = _coins(row), capital(asset) if row.customer_id is None else suspense(asset)
    source, target = reversed(ways) if back else ways
    return JournalRequest(
        stream=STREAM,
        key=f"{row.deposit_id}-turn-{row.turns + 1}",
        kind=kind,
        postings=(Posting(source, target, asset, row.amount),),
        detail={"deposit": row.deposit_id},
    )


def _coins(row: Deposit) -> str:
    """Return the wallet account whose coins it has become."""
    if row.customer_id is not None:
        return wallet_deposit(row.chain, row.asset.code)
    return (wallet_cold if row.is_cold else wallet_hot)(row.chain, row.asset.code)


def _detail(row: Deposit, depth: int) -> dict[str, JsonValue]:
    return {
        "confirmations": depth,
        "block_hash": row.block_hash,
        "amount": str(row.amount),
        "asset": row.asset.code,
    }


def _change(
    row: Deposit,
    target: DepositState,
    kind: str,
    postings: tuple[Posting, ...],
    detail: dict[str, JsonValue],
    reason: str | None = None,
    collects: tuple[str, ...] = (),
) -> DepositChange:
    return DepositChange(
        source=DepositState.PENDING,
        target=target,
        detail=detail,
        columns={"confirmations": detail["confirmations"], "reason": reason},
        journal=JournalRequest(
            stream=STREAM,
            key=f"{row.deposit_id}-post",
            kind=kind,
            postings=postings,
            detail={"deposit": row.deposit_id},
        ),
        collects=collects,
    )
