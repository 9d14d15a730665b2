"""The terms of a new asset as staff write them in a file, checked before anybody signs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.evm_address import checksum_address
from domain.instrument import Asset
from domain.market import Listings
from infra.wallet.keccak import keccak256
from workers.officer_desk import DeskError

_ASSET_FIELDS = (
    "code", "chain", "contract", "chain_decimals", "engine_decimals", "confirmations",
    "deposit_minimum", "withdrawal_minimum", "withdrawal_fee", "approval_above",
)  # fmt: skip
_AMOUNTS = _ASSET_FIELDS[6:]


def new_asset(listings: Listings, base: str, terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a new asset, amounts in chain units; `DeskError` says what is wrong."""
    if set(terms) != set(_ASSET_FIELDS):
        raise DeskError(f"an asset has exactly these fields: {', '.join(_ASSET_FIELDS)}")
    if terms["code"] != base:
        raise DeskError(f"the new asset is {terms['code']!r}, and the market's base is {base}")
    if listings.asset(base) is not None:
        raise DeskError(f"{base} exists; its terms are not a listing's to change")
    chains = {listing.chain for listing in listings.assets}
    if terms["chain"] not in chains:
        raise DeskError(f"no chain {terms['chain']!r} is watched; there are {', '.join(chains)}")
    contract = terms["contract"]
    if not isinstance(contract, str) or not _is_address(contract):
        raise DeskError("a token has a contract: its address in checksum form")
    if any(listing.contract == contract for listing in listings.assets):
        raise DeskError(f"the contract {contract} is another asset's")
    whole = {name: terms[name] for name in ("chain_decimals", "engine_decimals", "confirmations")}
    if any(type(number) is not int or number < 0 for number in whole.values()):
        raise DeskError(f"whole numbers, please: {', '.join(whole)}")
    if whole["confirmations"] < 1:
        raise DeskError("deposits need at least one confirmation")
    try:
        asset = Asset(0, base, whole["chain_decimals"], whole["engine_decimals"])
        amounts = {name: asset.chain_units(str(terms[name])) for name in _AMOUNTS}
    except ValueError as error:
        raise DeskError(str(error)) from error
    return {"code": base, "chain": terms["chain"], "contract": contract, **whole, **amounts}


def _is_address(text: str) -> bool:
    try:
        return checksum_address(text, keccak256) == text
    except ValueError:
        return False
