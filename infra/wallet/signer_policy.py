"""The signer's own file of what it may sign: chain, assets, thresholds, limits, receivers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.evm_address import is_checksum_address
from domain.signing_limits import SigningLimits
from infra.private_files import replace_private
from infra.wallet.keccak import keccak256
from infra.wallet.signer_refusal import SignerFilesError

_FIELDS = frozenset({"chain_id", "signatures_per_hour", "allow_list", "cold_address", "assets"})
_ASSET_FIELDS = frozenset({"contract", "approval_above", "amount_per_hour", "amount_per_day"})


@dataclass(frozen=True, slots=True)
class AssetPolicy:
    """What the file says of an asset, in chain units; `contract` None is the chain's own coin."""

    contract: str | None
    approval_above: int
    amount_per_hour: int
    amount_per_day: int


@dataclass(frozen=True, slots=True)
class SignerPolicy:
    """The signer's own file; `allow_list` None lets any address be paid.

    `cold_address` is where alone the hot wallet's surplus may go; None for nowhere.
    """

    chain_id: int
    signatures_per_hour: int
    assets: Mapping[str, AssetPolicy]
    allow_list: frozenset[str] | None = None
    cold_address: str | None = None

    def limits(self, asset: str) -> SigningLimits:
        """Return the limits that hold for an asset of the file."""
        found = self.assets[asset]
        return SigningLimits(self.signatures_per_hour, found.amount_per_hour, found.amount_per_day)

    @staticmethod
    def load(path: Path) -> SignerPolicy:
        """Read the pinned policy; a missing or unknown field is an error, nothing has a default."""
        try:
            return _policy(json.loads(path.read_text()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SignerFilesError(f"{path}: {error}; see docs/runbooks/custody.md") from error


def signer_policy_path(data_dir: Path) -> Path:
    """Return the path of the signer's own policy file."""
    return data_dir / "signer" / "policy.json"


def pin_cold_address(path: Path, address: str) -> None:
    """Write the only address to which the hot wallet's surplus may go; the signer reads it anew.

    `SignerFilesError` when the file cannot be used, `ValueError` for what is no address.
    """
    SignerPolicy.load(path)
    if not is_checksum_address(address, keccak256):
        raise ValueError(f"{address!r} is no address in checksum form")
    fields = json.loads(path.read_text())
    replace_private(path, json.dumps({**fields, "cold_address": address}, indent=1) + "\n")


def _policy(fields: dict[str, Any]) -> SignerPolicy:
    _require_fields(fields, _FIELDS)
    allowed = fields["allow_list"]
    if allowed is not None:
        for address in allowed:
            if not is_checksum_address(address, keccak256):
                raise ValueError(f"allow_list has {address!r}, which is no checksum address")
    cold = fields["cold_address"]
    if cold is not None and not is_checksum_address(cold, keccak256):
        raise ValueError(f"cold_address is {cold!r}, which is no checksum address")
    return SignerPolicy(
        chain_id=int(fields["chain_id"]),
        signatures_per_hour=int(fields["signatures_per_hour"]),
        assets={code: _asset(entry) for code, entry in fields["assets"].items()},
        allow_list=None if allowed is None else frozenset(allowed),
        cold_address=cold,
    )


def _asset(entry: dict[str, Any]) -> AssetPolicy:
    _require_fields(entry, _ASSET_FIELDS)
    return AssetPolicy(
        contract=entry["contract"],
        approval_above=int(entry["approval_above"]),
        amount_per_hour=int(entry["amount_per_hour"]),
        amount_per_day=int(entry["amount_per_day"]),
    )


def _require_fields(fields: dict[str, Any], wanted: frozenset[str]) -> None:
    if set(fields) != wanted:
        differing = ", ".join(sorted(set(fields) ^ wanted))
        raise ValueError(f"missing or unknown: {differing}")
