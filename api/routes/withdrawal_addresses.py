"""Where a customer may withdraw to, and how much: the allow-list and the limits."""

from __future__ import annotations

from typing import Annotated, NoReturn

from fastapi import APIRouter, Query, Response

from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.schemas.common import microseconds
from api.schemas.withdrawal_addresses import (
    WithdrawalAddressIn,
    WithdrawalAddressList,
    WithdrawalAddressOut,
    WithdrawalLimitOut,
    WithdrawalLimits,
)
from api.services import Services
from domain.customer import Scope
from domain.money import text_from_units
from domain.wallet_record import Barred
from domain.withdrawal_limits import (
    COOLED_OFF,
    LISTED,
    MAX_ADDRESSES,
    VALUE_KNOWN,
    AddressNames,
    ListedAddress,
    Window,
    within,
)

router = APIRouter(prefix="/v1", tags=["withdrawals"], route_class=EdgeRoute)
_CENT_DECIMALS = 2


@router.get("/withdrawal-addresses", response_model=WithdrawalAddressList)
@access(Scope.READ, weight=2)
async def list_addresses(caller: CallerDep, services: ServicesDep) -> WithdrawalAddressList:
    """List the addresses that you may withdraw to."""
    found = await services.withdrawal_addresses.listed(caller.customer_id)
    return WithdrawalAddressList(addresses=[_out(address) for address in found])


@router.post("/withdrawal-addresses", status_code=201, response_model=WithdrawalAddressOut)
@access(Scope.WITHDRAW, weight=5, step_up=True)
async def add_address(
    address: WithdrawalAddressIn, caller: CallerDep, services: ServicesDep, response: Response
) -> WithdrawalAddressOut:
    """List an address. It may be paid from `usable_us` on: until then you can still remove it.

    Listing it again changes nothing and answers 200. A session needs a fresh second factor.
    """
    _require_network(services, address.network)
    if not services.withdrawal_rules.is_address(address.address):
        raise Problem("invalid_address", "Give the address with its mixed-case checksum (EIP-55).")
    names = AddressNames(address.label, address.beneficiary, address.institution)
    made = await services.withdrawal_addresses.add(
        caller.customer_id, address.network, address.address, names
    )
    if made is None:
        raise Problem("too_many_addresses", f"A list has at most {MAX_ADDRESSES}; remove one.")
    listed, is_new = made
    if not is_new:
        response.status_code = 200
    return _out(listed)


@router.delete("/withdrawal-addresses/{address}", response_model=WithdrawalAddressOut)
@access(Scope.WITHDRAW, weight=2)
async def remove_address(
    address: str,
    caller: CallerDep,
    services: ServicesDep,
    network: Annotated[str, Query(min_length=1, max_length=16)] = "ETH",
) -> WithdrawalAddressOut:
    """Take an address off your list. What waits to be paid to it will not be.

    Listed again it has to cool off again.
    """
    gone = await services.withdrawal_addresses.remove(caller.customer_id, network, address)
    if gone is None:
        raise Problem("not_found")
    return _out(gone)


@router.get("/withdrawal-limits", response_model=WithdrawalLimits)
@access(Scope.READ, weight=2)
async def limits(caller: CallerDep, services: ServicesDep) -> WithdrawalLimits:
    """Return what your tier may withdraw in each window of time, and what is left of it."""
    allowance = await services.withdrawal_addresses.allowance(caller.customer_id)
    return WithdrawalLimits(
        tier=allowance.tier,
        limits=[
            WithdrawalLimitOut(
                window=window,
                limit_usd=_usd(allowance.limit_cents(window)),
                used_usd=_usd(allowance.earlier_cents[window]),
                left_usd=_usd(allowance.left_cents(window)),
            )
            for window in Window
        ],
    )


def refuse_barred(barred: Barred) -> NoReturn:
    """Raise the problem of a withdrawal that list or limits refuse."""
    allowance = barred.allowance
    if barred.rule == LISTED:
        raise Problem("address_not_listed", "List it first: POST /v1/withdrawal-addresses.")
    if barred.rule == COOLED_OFF:
        assert allowance.usable_at is not None
        raise Problem(
            "address_cooling_off",
            f"It may be paid from {allowance.usable_at.isoformat(timespec='seconds')} on.",
            extra={"usable_us": microseconds(allowance.usable_at)},
        )
    if barred.rule == VALUE_KNOWN:
        raise Problem("withdrawal_not_valued")
    window = next(one for one in Window if within(one) == barred.rule)
    limit, left = _usd(allowance.limit_cents(window)), _usd(allowance.left_cents(window))
    raise Problem(
        "withdrawal_limit_exceeded",
        f"The limit of tier {allowance.tier} in {window} is {limit} USD; {left} are left.",
        extra={
            "limit": within(window),
            "limit_usd": limit,
            "left_usd": left,
            "value_usd": _usd(allowance.value_cents or 0),
        },
    )


def _require_network(services: Services, network: str) -> None:
    if all(listing.chain != network for listing in services.listings.assets):
        raise Problem("unknown_network", f"There is no network {network!r}.")


def _out(address: ListedAddress) -> WithdrawalAddressOut:
    return WithdrawalAddressOut(
        network=address.chain,
        address=address.address,
        label=address.label,
        beneficiary=address.beneficiary,
        institution=address.institution,
        usable_us=microseconds(address.usable_at),
    )


def _usd(cents: int) -> str:
    return text_from_units(cents, _CENT_DECIMALS)
