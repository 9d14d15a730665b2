"""How many examples a property is tried with: a few in the normal run, all in `--all`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_ALL = 100  # Hypothesis' own count
_NORMAL = 30
_LEAST = 5


def load_profile(marks: str) -> None:
    """Let Hypothesis try as many examples as fit to the expression that chooses tests.

    A property holds however busy the machine is: speed lives in benchmarks.
    """
    for name, count in (("all", _ALL), ("normal", _NORMAL)):
        settings.register_profile(
            name,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            max_examples=count,
        )
    settings.load_profile("normal" if "not long" in marks else "all")


def examples(count: int) -> int:
    """Return how many of a property's `count` examples are tried in this run, rounded down."""
    assert settings.default is not None
    return max(min(count, _LEAST), count * settings.default.max_examples // _ALL)
