"""What each standing refuses."""

from __future__ import annotations

import pytest

from domain.customer import Scope, standing_refuses


@pytest.mark.parametrize(
    ("standing", "refused"),
    [
        ("active", set()),
        ("withdraw_only", {Scope.TRADE}),
        ("frozen", set(Scope)),
        ("of a later version", set(Scope)),
    ],
)
def test_refused_scopes(standing: str, refused: set[Scope]) -> None:
    """Withdraw-only is out and looking; what is not known refuses everything."""
    assert {scope for scope in Scope if standing_refuses(standing, scope)} == refused


def test_only_who_may_withdraw_winds_down() -> None:
    """Cancelling and moving own money home is not trading; frozen is frozen."""
    assert not standing_refuses("withdraw_only", Scope.TRADE, winds_down=True)
    assert standing_refuses("frozen", Scope.TRADE, winds_down=True)
