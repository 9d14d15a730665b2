"""The exchange's fixed limits, each named once; limits of one market are in its listing.

They are part of the engine's rules: another number gives other events, so a change of one is a
change of the state's version. `matching/core/limits.hpp` has the same numbers for the C++ core,
and a test compares the two. `GET /v1/system` and `rialto status --json` show them.
"""

from __future__ import annotations

HOUR_US = 3_600_000_000

MAX_MAKERS = 20_000
"""How many resting orders one command may meet. Each makes three events at most (a trade, its own
end, the end of the other order of its list), and a command's are numbered with 16 bits."""

MAX_PLAYED = 100
"""How many resting orders a taking order meets in the sweep that is played to know what it loses;
what they leave of it counts at its limit."""

MAX_SLICES = 100
"""How many times an iceberg may show lots: each time is a meeting, of which a taker has few."""

MAX_CANCELS = 60_000
"""How many orders one cancel-all closes, the oldest first; `closed_count` tells."""

MAX_EXPIRIES = 5_000
"""How many events expiries and switches make with one command; the rest come with the next."""

TRIGGER_ROOM = 5_500
"""An order is set off, and an ended bracket seen to, only while its command has not made more
events: a whole sweep must fit."""

MAX_TIMEOUT_US = 24 * HOUR_US
"""How far ahead a dead-man's switch may be set."""

MAX_FEE_TIERS = 8
"""How many fee tiers there are; an account's tier is 0 to one less."""

MAX_POSITIONS = 60_000
"""How many accounts may have a position, or an order for one, in a perpetual: a funding makes one
event each, and a command's are numbered with 16 bits."""

MAX_PERPETUAL_ORDERS = 1_000
"""The most open orders that a perpetual market may allow an account."""

SWEEP_ROOM = 60_000
"""A command trades on in a perpetual only while it has not made more events: one fill may end as
many reduce-only orders as two accounts have, and the lists they are in."""

CLOSED_PER_ACCOUNT = 10_000
"""How many closed orders an account's window of client order ids remembers."""

CLOSED_FOR_US = 24 * HOUR_US
"""How long the window remembers a closed order at most."""

KEY_FOR_US = 48 * HOUR_US
"""How long a command key is remembered."""

KEY_MAX_AGE_US = 24 * HOUR_US
"""How old the business row of a money command may be."""

KEY_MAX_AHEAD_US = HOUR_US
"""How far a business row may seem to come from the future."""


def limits() -> dict[str, int]:
    """Return every limit by its name."""
    return {
        name: value
        for name, value in sorted(globals().items())
        if isinstance(value, int) and name != "HOUR_US"
    }
