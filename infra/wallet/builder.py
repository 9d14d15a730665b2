"""Withdrawals, and payments between our own addresses, as transactions of an EVM chain."""

from __future__ import annotations

from dataclasses import replace

from domain.chain import FeeQuote, Payable
from infra.wallet.erc20 import transfer_call
from infra.wallet.transaction import (
    VOID_GAS,
    Transaction,
    decode_signed,
    is_void,
    sender_of,
    transaction_hash,
)


class EvmTransactionBuilder:
    """Builds what the signer is to sign, and checks what it has signed."""

    def __init__(self, hot_address: str) -> None:
        self._hot_address = hot_address

    def call(self, payable: Payable) -> tuple[str, int, bytes]:
        """Return (to, value, data): a plain payment, or a call of the token's contract."""
        if payable.contract is None:
            return payable.address, payable.net_amount, b""
        data = transfer_call(payable.address, payable.net_amount)
        return payable.contract, 0, data

    def unsigned(self, payable: Payable, chain_id: int, gas: int, fees: FeeQuote) -> bytes:
        """Return the bytes to be signed."""
        assert payable.nonce is not None
        to, value, data = self.call(payable)
        return Transaction(
            chain_id=chain_id,
            nonce=payable.nonce,
            priority_fee=fees.priority_fee,
            max_fee=fees.max_fee,
            gas=gas,
            to=to,
            value=value,
            data=data,
        ).unsigned()

    def fees_of(self, raw: bytes) -> FeeQuote:
        """Return what a signed transaction pays for a gas unit."""
        signed = decode_signed(raw)
        return FeeQuote(signed.max_fee, signed.priority_fee)

    def repriced(self, raw: bytes, fees: FeeQuote) -> bytes:
        """Return the bytes to be signed of the same transaction with other fees."""
        return replace(
            decode_signed(raw), max_fee=fees.max_fee, priority_fee=fees.priority_fee
        ).unsigned()

    def void(self, payable: Payable, chain_id: int, fees: FeeQuote) -> bytes:
        """Return the bytes to be signed of a payment of nothing to the hot wallet itself."""
        assert payable.nonce is not None
        return Transaction(
            chain_id=chain_id,
            nonce=payable.nonce,
            priority_fee=fees.priority_fee,
            max_fee=fees.max_fee,
            gas=VOID_GAS,
            to=self._hot_address,
            value=0,
            data=b"",
        ).unsigned()

    def check_void(self, payable: Payable, raw: bytes) -> str:
        """Return the transaction's hash; `ValueError` unless it uses this nonce up for nothing."""
        signed = decode_signed(raw)
        if not is_void(signed, self._hot_address) or signed.nonce != payable.nonce:
            raise ValueError("the signed transaction is no void of this withdrawal's nonce")
        if sender_of(raw) != self._hot_address:
            raise ValueError("the transaction is signed by another key than the hot wallet's")
        return transaction_hash(raw)

    def check_signed(self, payable: Payable, raw: bytes, sender: str = "") -> str:
        """Return the transaction's hash; `ValueError` unless `sender` pays just this.

        Who is meant where nobody is named is the hot wallet.
        """
        signed = decode_signed(raw)
        paid = (signed.to, signed.value, signed.data)
        if paid != self.call(payable) or signed.nonce != payable.nonce:
            raise ValueError("the signed transaction does not pay this")
        if sender_of(raw) != (sender or self._hot_address):
            raise ValueError("the transaction is signed by another key than the sender's")
        return transaction_hash(raw)
