"""Both engines under the same tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from matching import engine
from tests.matching.desk import Desk


@pytest.fixture(scope="module", params=["core", "reference"])
def each_engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the module once with the C++ core and once with the plain Python engine.

    A machine that builds no core has no business being green, so a missing core fails.
    """
    kind: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        if kind == "reference":
            patch.setattr(engine, "load_core", lambda: None)
        assert engine.create_engine().kind == kind
        yield kind


@pytest.fixture
def desk() -> Desk:
    """Give a market with four funded accounts, whose last price is 1,000."""
    desk = Desk()
    desk.fund(1, 2, 3, 4)
    desk.trade(1_000)
    return desk
