"""Withdrawals as transactions of an EVM chain."""

from __future__ import annotations

from dataclasses import replace

from domain.chain import FeeQuote
from domain.withdrawal import Withdrawal
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

    def call(self, withdrawal: Withdrawal) -> tuple[str, int, bytes]:
        """Return (to, value, data): a plain payment, or a call of the token's contract."""
        if withdrawal.contract is None:
            return withdrawal.address, withdrawal.net_amount, b""
        data = transfer_call(withdrawal.address, withdrawal.net_amount)
        return withdrawal.contract, 0, data

    def unsigned(self, withdrawal: Withdrawal, chain_id: int, gas: int, fees: FeeQuote) -> bytes:
        """Return the bytes to be signed."""
        assert withdrawal.nonce is not None
        to, value, data = self.call(withdrawal)
        return Transaction(
            chain_id=chain_id,
            nonce=withdrawal.nonce,
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

    def void(self, withdrawal: Withdrawal, chain_id: int, fees: FeeQuote) -> bytes:
        """Return the bytes to be signed of a payment of nothing to the hot wallet itself."""
        assert withdrawal.nonce is not None
        return Transaction(
            chain_id=chain_id,
            nonce=withdrawal.nonce,
            priority_fee=fees.priority_fee,
            max_fee=fees.max_fee,
            gas=VOID_GAS,
            to=self._hot_address,
            value=0,
            data=b"",
        ).unsigned()

    def check_void(self, withdrawal: Withdrawal, raw: bytes) -> str:
        """Return the transaction's hash; `ValueError` unless it uses this nonce up for nothing."""
        signed = decode_signed(raw)
        if not is_void(signed, self._hot_address) or signed.nonce != withdrawal.nonce:
            raise ValueError("the signed transaction is no void of this withdrawal's nonce")
        if sender_of(raw) != self._hot_address:
            raise ValueError("the transaction is signed by another key than the hot wallet's")
        return transaction_hash(raw)

    def check_signed(self, withdrawal: Withdrawal, raw: bytes) -> str:
        """Return the transaction's hash; `ValueError` unless the hot wallet pays just this."""
        signed = decode_signed(raw)
        paid = (signed.to, signed.value, signed.data)
        if paid != self.call(withdrawal) or signed.nonce != withdrawal.nonce:
            raise ValueError("the signed transaction does not pay this withdrawal")
        if sender_of(raw) != self._hot_address:
            raise ValueError("the transaction is signed by another key than the hot wallet's")
        return transaction_hash(raw)
