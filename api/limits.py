"""Rate limits: a weight per route and an orders bucket, counted for all gateways together.

Both buckets are charged in one step at the edge. With Redis away a gateway counts on its own;
withdrawals then wait, because a limit that protects money has to be the shared one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from api.errors import Problem
from api.ports import LimitStore
from domain.rate_limit import Charge, Charged

WINDOW_SECONDS = 10
SHORT_SECONDS, LONG_SECONDS = 300, 86_400
ATTEMPTS_OF_NAME, ATTEMPTS_OF_ADDRESS = 10, 30  # to sign in, in the short window
ATTEMPTS_A_DAY = 40  # of a name: a code of six digits is guessed in a year at the earliest
_LARGEST_LOCAL_TABLE = 100_000


@dataclass(frozen=True, slots=True)
class RateClass:
    """What a customer (or an address) may use in one window."""

    weight: int
    orders: int


RATE_CLASSES = {
    "standard": RateClass(weight=1_200, orders=500),
    "market_maker": RateClass(weight=12_000, orders=5_000),
    "house": RateClass(weight=1_000_000, orders=1_000_000),
}
PUBLIC_CLASS = RateClass(weight=1_200, orders=0)


class LocalLimits:
    """The same fixed windows in this process' memory; for a gateway without Redis."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: dict[tuple[str, str], int] = {}
        self._window = -1
        self._seen: dict[str, float] = {}

    def charge(self, charges: Sequence[Charge], window_seconds: int) -> Charged:
        """Charge all buckets, or none when one would overflow."""
        now = self._clock()
        window = int(now // window_seconds)
        if window != self._window or len(self._used) > _LARGEST_LOCAL_TABLE:
            self._used.clear()
            self._window = window
        used = [self._used.get((charge.bucket, charge.subject), 0) for charge in charges]
        allowed = all(
            before + charge.cost <= charge.quota
            for before, charge in zip(used, charges, strict=True)
        )
        if allowed:
            for before, charge in zip(used, charges, strict=True):
                self._used[charge.bucket, charge.subject] = before + charge.cost
        return Charged(
            allowed=allowed,
            remaining=tuple(
                max(0, charge.quota - before - (charge.cost if allowed else 0))
                for before, charge in zip(used, charges, strict=True)
            ),
            reset_seconds=max(1, round((window + 1) * window_seconds - now)),
            shared=False,
        )

    def first_use(self, name: str, seconds: int) -> bool:
        """Return whether `name` was not seen in the last `seconds`, and remember it."""
        now = self._clock()
        if len(self._seen) > _LARGEST_LOCAL_TABLE:
            self._seen = {seen: until for seen, until in self._seen.items() if until > now}
        if self._seen.get(name, 0.0) > now:
            return False
        self._seen[name] = now + seconds
        return True


@dataclass(frozen=True, slots=True)
class Allowance:
    """The verdict on one request, with the headers that tell the client about it."""

    headers: dict[str, str]
    shared: bool
    used: dict[str, int]
    """How much of each bucket is used up in this window, this request included."""
    quotas: dict[str, int]
    """How much of each bucket there is in a window."""


class Limiter:
    """Charge the shared store; fall back to local counting for a moment when it is away.

    What is used up is remembered, so that going on to refuse him costs next to nothing.
    """

    def __init__(self, store: LimitStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._local = LocalLimits(clock)
        self._clock = clock
        self._away_until = 0.0
        self._used_up: dict[tuple[str, str], float] = {}

    async def charge(
        self, subject: str, rate_class: RateClass, weight: int, orders: int = 0
    ) -> Allowance:
        """Charge `subject`; a `Problem` (rate_limited) when it has used up its window."""
        charges = [Charge("weight", subject, weight, rate_class.weight)]
        if orders:
            charges.append(Charge("orders", subject, orders, rate_class.orders))
        for charge in charges:
            left_seconds = self._used_up.get((charge.bucket, subject), 0.0) - self._clock()
            if left_seconds > 0:
                raise _rate_limited([charge], Charged(False, (0,), 1 + int(left_seconds)))
        charged = await self._charge(charges)
        for charge, remaining in zip(charges, charged.remaining, strict=True):
            if not remaining:
                self._remember_used_up(charge.bucket, subject, charged.reset_seconds)
        if not charged.allowed:
            raise _rate_limited(charges, charged)
        headers = _headers(charges, charged)
        used = {
            charge.bucket: charge.quota - left
            for charge, left in zip(charges, charged.remaining, strict=True)
        }
        quotas = {charge.bucket: charge.quota for charge in charges}
        return Allowance(headers, charged.shared, used, quotas)

    def _remember_used_up(self, bucket: str, subject: str, reset_seconds: int) -> None:
        """Refuse it without a question until its window may have ended: it is told rounded."""
        if len(self._used_up) > _LARGEST_LOCAL_TABLE:
            self._used_up.clear()
        self._used_up[bucket, subject] = self._clock() + reset_seconds - 1

    async def charge_address(self, host: str, weight: int) -> Allowance:
        """Charge an address, as who is not known yet; a `Problem` as of `charge`."""
        return await self.charge(f"address:{host}", PUBLIC_CLASS, weight)

    async def charge_customer(
        self, customer_id: int, class_name: str, weight: int, orders: int = 0
    ) -> Allowance:
        """Charge a customer in the class that its key names; a `Problem` as of `charge`."""
        rate_class = RATE_CLASSES.get(class_name, RATE_CLASSES["standard"])
        return await self.charge(f"customer:{customer_id}", rate_class, weight, orders)

    async def attempt(self, name: str, host: str) -> None:
        """Count a try to sign in as `name` from an address; a `Problem` (rate_limited) beyond.

        `ConnectionError` when the shared store is away: nobody guesses where nobody counts.
        """
        short = [
            Charge("sign-in", f"name:{name}", 1, ATTEMPTS_OF_NAME),
            Charge("sign-in", f"address:{host}", 1, ATTEMPTS_OF_ADDRESS),
        ]
        day = [Charge("sign-in-day", f"name:{name}", 1, ATTEMPTS_A_DAY)]
        for charges, seconds in ((short, SHORT_SECONDS), (day, LONG_SECONDS)):
            charged = await self._store.charge(charges, seconds)
            if not charged.allowed:
                raise Problem(
                    "rate_limited",
                    "Too many tries to sign in; sessions that go on are not concerned.",
                    headers={"Retry-After": str(charged.reset_seconds)},
                )

    async def once(self, name: str, seconds: int) -> None:
        """Refuse a request that was seen before; a `Problem` (request_replayed)."""
        try:
            is_first = await self._store.first_use(name, seconds)
        except ConnectionError:
            is_first = self._local.first_use(name, seconds)
        if not is_first:
            raise Problem("request_replayed", "Sign the request again, with a new timestamp.")

    async def _charge(self, charges: Sequence[Charge]) -> Charged:
        if self._clock() >= self._away_until:
            try:
                return await self._store.charge(charges, WINDOW_SECONDS)
            except ConnectionError:
                self._away_until = self._clock() + 1.0
        return self._local.charge(charges, WINDOW_SECONDS)


def _rate_limited(charges: Sequence[Charge], charged: Charged) -> Problem:
    return Problem(
        "rate_limited",
        f"The limit is used up; try again in {charged.reset_seconds} s.",
        headers=_headers(charges, charged) | {"Retry-After": str(charged.reset_seconds)},
    )


def _headers(charges: Sequence[Charge], charged: Charged) -> dict[str, str]:
    return {
        "RateLimit-Policy": ", ".join(
            f'"{charge.bucket}";q={charge.quota};w={WINDOW_SECONDS}' for charge in charges
        ),
        "RateLimit": ", ".join(
            f'"{charge.bucket}";r={remaining};t={charged.reset_seconds}'
            for charge, remaining in zip(charges, charged.remaining, strict=True)
        ),
    }
