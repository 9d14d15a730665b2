"""Why the signer does not sign: its registered reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SignerRefusal(StrEnum):
    """Why the signer does not sign; checked in this order. Limits come last: they pass by."""

    UNKNOWN_OR_MISSING_FIELD = "unknown_or_missing_field"
    MALFORMED_FIELD = "malformed_field"
    UNKNOWN_ASSET = "unknown_asset"
    AMOUNT_NOT_ABOVE_FEE = "amount_not_above_fee"
    INVALID_ADDRESS = "invalid_address"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    INVALID_APPROVAL = "invalid_approval"
    TOO_FEW_APPROVALS = "too_few_approvals"
    SIGNED_AS_ANOTHER_PAYMENT = "signed_as_another_payment"
    TOO_MANY_SIGNATURES = "too_many_signatures"
    HOURLY_AMOUNT_EXCEEDED = "hourly_amount_exceeded"
    DAILY_AMOUNT_EXCEEDED = "daily_amount_exceeded"
    MALFORMED_TRANSACTION = "malformed_transaction"
    WRONG_CHAIN = "wrong_chain"
    FEE_TOO_HIGH = "fee_too_high"
    WRONG_RECEIVER = "wrong_receiver"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CONTRACT = "wrong_contract"
    SIGNED_WITH_ANOTHER_NONCE = "signed_with_another_nonce"
    NONCE_OF_ANOTHER_WITHDRAWAL = "nonce_of_another_withdrawal"
    NONCE_TOO_FAR = "nonce_too_far"
    GIVEN_UP = "given_up"  # its nonce was voided: nothing is paid for it any more
    NOT_A_VOID = "not_a_void"
    WRONG_NONCE = "wrong_nonce"
    UNKNOWN_KIND = "unknown_kind"  # these are of payments between our own addresses
    NO_COLD_ADDRESS = "no_cold_address"
    GAS_SUPPLY_TOO_LARGE = "gas_supply_too_large"
    PAYMENTS_PAUSED = "payments_paused"  # of all payments, and asked first


@dataclass(frozen=True, slots=True)
class Refused:
    """The signer's no; `detail` says more for the operator."""

    reason: SignerRefusal
    detail: str = ""


class SignerFilesError(Exception):
    """One of the signer's own files cannot be used; the message names it and says why."""
