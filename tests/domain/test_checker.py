"""The checker is trusted because every mutation of correct books is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from domain import ledger
from domain.checker import Checker
from domain.checker_records import (
    AccountRecord,
    Assets,
    ChainRecord,
    DepositRecord,
    EngineRecord,
    TransferRecord,
    WithdrawalRecord,
)
from domain.checker_report import MAX_VIOLATIONS, Violation
from domain.events import Credited, Trade
from domain.ledger import Posting
from domain.order import Side
from tests.domain.books import ASSETS, Books

DEPOSITED = 9_000_000_000
COINS = ledger.wallet_deposit("ETH", "USDT")


def fill(sequence: int, trade_id: int) -> Trade:
    """Return a fill of 1 ETH at 2,500 between maker 1 and buyer 2."""
    return Trade(
        sequence=sequence,
        index=1,
        symbol_id=1,
        trade_id=trade_id,
        taker_side=Side.BUY,
        maker_order_id=1,
        taker_order_id=2,
        maker_account_id=1,
        taker_account_id=2,
        price_ticks=250_000,
        quantity_lots=10_000,
        base_units=10**9,
        quote_units=2_500_000_000,
        maker_fee_units=2_500_000,
        taker_fee_units=5_000_000,
    )


def correct_books() -> Books:
    """Return books with deposits, transfers, two trades in two batches, and a withdrawal."""
    books = Books()
    eth_coins = ledger.wallet_deposit("ETH", "ETH")
    books.post("deposit-1", Posting(COINS, ledger.main(2, "USDT"), "USDT", DEPOSITED))
    books.post("deposit-2", Posting(eth_coins, ledger.main(1, "ETH"), "ETH", 3 * 10**18))
    for customer, asset, amount in ((2, "USDT", DEPOSITED), (1, "ETH", 3 * 10**18)):
        move = Posting(ledger.main(customer, asset), ledger.transit(0, asset), asset, amount)
        books.post(f"transfer-{customer}", move)
    books.settle(
        1,
        2,
        [
            Credited(1, 0, 1, UUID(int=2).int, 2, 1, DEPOSITED),
            Credited(2, 0, 2, UUID(int=1).int, 1, 2, 3 * 10**9),
        ],
    )
    books.settle(3, 5, [fill(3, 1)])
    books.settle(6, 9, [fill(8, 2)])
    spent, fee = 5_000_000_000, 7_500_000
    books.engine = EngineRecord(
        shard=0,
        sequence=9,
        balances_units={
            (1, 1): spent - 5_000_000,
            (1, 2): 10**9,
            (2, 1): DEPOSITED - spent - 10_000_000,
            (2, 2): 2 * 10**9,
        },
        fees_units={1: 2 * fee, 2: 0},
        trades=2,
    )
    books.transfers = [
        TransferRecord("t-1", 0, "ETH", 3 * 10**18, in_transit=False),
        TransferRecord("t-2", 0, "USDT", DEPOSITED, in_transit=False),
    ]
    books.deposits = [
        DepositRecord("deposit-1", "USDT", DEPOSITED, booked=True, postings=(DEPOSITED,)),
        DepositRecord("deposit-9", "USDT", 5, booked=False, postings=()),
    ]
    books.withdrawals = [
        WithdrawalRecord("w-1", "USDT", 70, 1, True, False, True, (65,)),
        WithdrawalRecord("w-2", "USDT", 70, 0, False, True, False, ()),
        WithdrawalRecord("w-3", "USDT", 70, 1, True, True, False, (), reverted=True),
    ]
    books.chain = [ChainRecord(COINS, "USDT", coins=DEPOSITED + 5, in_flight=5)]
    return books


def test_correct_books_have_no_violation() -> None:
    """All invariants look at rows and hold."""
    report = correct_books().check()
    assert report.violations == ()
    assert report.ok
    assert {result.rows > 0 and result.ok for result in report.invariants} == {True}
    names = {result.name for result in report.invariants}
    assert names == {invariant for _, invariant, _, _ in MUTATIONS}


def test_empty_books_report_nothing() -> None:
    """An invariant that looked at nothing is absent, not green."""
    assert Checker(Assets(ASSETS)).report().invariants == ()


def _journal(books: Books, place: int, **changes: object) -> None:
    books.journals[place] = replace(books.journals[place], **changes)  # type: ignore[arg-type]


def _drop_entry(books: Books) -> None:
    _journal(books, 5, entries=books.journals[5].entries[1:])


def _drop_journal(books: Books) -> None:
    del books.journals[5]


def _swap_journals(books: Books) -> None:
    books.journals[5], books.journals[6] = books.journals[6], books.journals[5]


def _double_trade(books: Books) -> None:
    rows = books.journals[6].rows
    assert rows is not None
    doubled = {account: 2 * amount for account, amount in rows.lines.items()}
    _journal(books, 6, rows=replace(rows, lines=doubled, trades=2))


def _settle_a_trade_again(books: Books) -> None:
    books.settle(10, 10, [fill(10, 2)])


def _lose_a_trade(books: Books) -> None:
    books.settle(10, 12, [fill(12, 4)])


def _flip_a_byte_of_the_hash(books: Books) -> None:
    flipped = bytes([books.journals[2].hash[0] ^ 1]) + books.journals[2].hash[1:]
    _journal(books, 2, hash=flipped)


def _flip_a_byte_of_the_rows(books: Books) -> None:
    rows = books.journals[5].rows
    assert rows is not None
    _journal(books, 5, rows=replace(rows, request_hash=bytes(32)))


def _change_a_posting(books: Books) -> None:
    stored = [[COINS, ledger.main(3, "USDT"), "USDT", str(DEPOSITED)]]
    _journal(books, 0, detail={"postings": stored})


def _unbalanced_entry(books: Books) -> None:
    first, *rest = books.journals[5].entries
    raised = replace(first, amount=first.amount + 1, balance_after=first.balance_after + 1)
    _journal(books, 5, entries=(raised, *rest))


def _post_a_key_again(books: Books) -> None:
    books.post("transfer-1", Posting(COINS, ledger.main(2, "USDT"), "USDT", 1))


def _move_cursor_back(books: Books) -> None:
    books.cursor = 5


def _move_cursor_on(books: Books) -> None:
    books.cursor = 11


def _account(books: Books, code: str, **changes: object) -> None:
    books.accounts = [
        replace(record, **changes) if record.code == code else record  # type: ignore[arg-type]
        for record in books.accounts
    ]


def _raise_a_balance(books: Books) -> None:
    _account(books, "customer:2:main:USDT", balance=1)


def _move_money_between_customers(books: Books) -> None:
    buyer, seller = "customer:2:trading.0:ETH", "customer:1:trading.0:ETH"
    _account(books, buyer, balance=books.balance(buyer) - 1)
    _account(books, seller, balance=books.balance(seller) + 1)


def _below_floor(books: Books) -> None:
    _account(books, "transit.0:ETH", balance=-1)


def _remove_a_floor(books: Books) -> None:
    _account(books, "customer:2:main:USDT", floor=None)


def _drop_an_account(books: Books) -> None:
    books.accounts = [a for a in books.accounts if a.code != "fees.0:USDT"]


def _unknown_account(books: Books) -> None:
    books.accounts.append(AccountRecord("customer:7:trading.0:USDT", "USDT", 5, 0))


def _engine_has_more(books: Books) -> None:
    balances = {**books.engine.balances_units, (3, 1): 1}
    books.engine = replace(books.engine, balances_units=balances)


def _engine_has_another_trade(books: Books) -> None:
    books.engine = replace(books.engine, trades=3)


def _engine_unreadable(books: Books) -> None:
    books.engine = replace(books.engine, fault="CORRUPT_BLOCK: a byte was flipped")


def _transfer_forgotten(books: Books) -> None:
    books.transfers[0] = replace(books.transfers[0], in_transit=True)


def _deposit_twice(books: Books) -> None:
    books.deposits[0] = replace(books.deposits[0], postings=(DEPOSITED, DEPOSITED))


def _deposit_too_early(books: Books) -> None:
    books.deposits[1] = replace(books.deposits[1], postings=(5,))


def _withdrawal(books: Books, place: int, **changes: object) -> None:
    books.withdrawals[place] = replace(books.withdrawals[place], **changes)  # type: ignore[arg-type]


def _sign_twice(books: Books) -> None:
    _withdrawal(books, 0, signed=2)


def _broadcast_unsigned(books: Books) -> None:
    _withdrawal(books, 0, signed=0)


def _release_and_pay(books: Books) -> None:
    _withdrawal(books, 0, released=True)


def _release_what_was_not_reverted(books: Books) -> None:
    _withdrawal(books, 2, reverted=False)


def _pay_what_was_reverted(books: Books) -> None:
    _withdrawal(books, 2, settled=True, payments=(65,))


def _pay_twice(books: Books) -> None:
    _withdrawal(books, 0, payments=(65, 65))


def _steal_a_coin(books: Books) -> None:
    books.chain[0] = replace(books.chain[0], coins=DEPOSITED + 4)


MUTATIONS: list[tuple[Callable[[Books], None], str, str | None, int | None]] = [
    (_drop_entry, "lines_equal_entries", "customer:1:trading.0:ETH", 3),
    (_drop_journal, "journal_positions_dense", None, 6),
    (_drop_journal, "entries_equal_balances", "fees.0:USDT", 6),
    (_drop_journal, "trades_settled_once", None, 6),
    (_swap_journals, "hash_chain_unbroken", None, 6),
    (_swap_journals, "sequences_in_order", None, 3),
    (_double_trade, "lines_equal_entries", "fees.0:USDT", 6),
    (_double_trade, "trades_settled_once", None, 6),
    (_settle_a_trade_again, "trades_settled_once", None, 10),
    (_settle_a_trade_again, "engine_equals_ledger", "fees.0:USDT", 10),
    (_lose_a_trade, "trades_settled_once", None, 10),
    (_flip_a_byte_of_the_hash, "hash_chain_unbroken", None, None),
    (_flip_a_byte_of_the_rows, "requests_unchanged", None, 3),
    (_change_a_posting, "requests_unchanged", None, None),
    (_change_a_posting, "lines_equal_entries", "customer:3:main:USDT", None),
    (_unbalanced_entry, "journals_balance", None, 3),
    (_post_a_key_again, "keys_used_once", None, None),
    (_move_cursor_back, "cursor_follows_journal", None, 6),
    (_move_cursor_on, "cursor_follows_journal", None, 10),
    (_raise_a_balance, "assets_sum_to_zero", None, None),
    (_raise_a_balance, "entries_equal_balances", "customer:2:main:USDT", None),
    (_move_money_between_customers, "engine_equals_ledger", "customer:2:trading.0:ETH", 9),
    (_below_floor, "floors_respected", "transit.0:ETH", 2),
    (_below_floor, "transit_equals_open_transfers", "transit.0:ETH", None),
    (_remove_a_floor, "floors_respected", "customer:2:main:USDT", None),
    (_drop_an_account, "entries_equal_balances", "fees.0:USDT", None),
    (_unknown_account, "engine_equals_ledger", "customer:7:trading.0:USDT", 9),
    (_engine_has_more, "engine_equals_ledger", "customer:3:trading.0:USDT", 9),
    (_engine_has_another_trade, "trades_settled_once", None, 9),
    (_engine_unreadable, "engine_journal_readable", None, 9),
    (_transfer_forgotten, "transit_equals_open_transfers", "transit.0:ETH", None),
    (_deposit_twice, "deposits_credited_once", None, None),
    (_deposit_too_early, "deposits_credited_once", None, None),
    (_sign_twice, "withdrawals_signed_once", None, None),
    (_broadcast_unsigned, "withdrawals_signed_once", None, None),
    (_release_and_pay, "withdrawals_paid_or_released", None, None),
    (_release_what_was_not_reverted, "withdrawals_paid_or_released", None, None),
    (_pay_what_was_reverted, "withdrawals_settled_once", None, None),
    (_pay_twice, "withdrawals_settled_once", None, None),
    (_steal_a_coin, "chain_equals_wallet", COINS, None),
]


@pytest.mark.parametrize(("mutate", "invariant", "account", "sequence"), MUTATIONS)
def test_mutation_is_named(
    mutate: Callable[[Books], None], invariant: str, account: str | None, sequence: int | None
) -> None:
    """The broken invariant is named, with account and sequence where they are known."""
    books = correct_books()
    mutate(books)
    report = books.check()
    assert not report.ok
    found = [violation for violation in report.violations if violation.invariant == invariant]
    assert found, [violation.invariant for violation in report.violations]
    assert any(_fits(violation, account, sequence) for violation in found), found


def _fits(violation: Violation, account: str | None, sequence: int | None) -> bool:
    return (account is None or violation.account == account) and (
        sequence is None or violation.sequence == sequence
    )


def test_violations_are_listed_up_to_a_limit_and_all_counted() -> None:
    """Ruined books do not flood the log, and the count is still right."""
    books = correct_books()
    extra = [AccountRecord(f"customer:{n}:main:ETH", "ETH", 1, 0) for n in range(100, 600)]
    books.accounts += extra
    report = books.check()
    assert len(report.violations) == MAX_VIOLATIONS
    assert report.violation_count == len(extra) + 1


def test_amount_says_how_much_is_wrong() -> None:
    """The violation carries the difference in chain units and the asset."""
    books = correct_books()
    _raise_a_balance(books)
    (violation,) = [v for v in books.check().violations if v.invariant == "assets_sum_to_zero"]
    assert (violation.asset, violation.amount) == ("USDT", 1)
