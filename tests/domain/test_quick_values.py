"""Values that are made quickly are frozen dataclasses as any."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from domain.events import OrderClosed
from domain.quick_values import quickly_made


@quickly_made
@dataclass(frozen=True, slots=True)
class _Quick:
    first: int
    second: str = "two"


@dataclass(frozen=True, slots=True)
class _Usual:
    first: int
    second: str = "two"


def test_it_is_what_a_frozen_dataclass_is() -> None:
    """Type, fields, defaults, order, equality, hash, text and signature."""
    made = _Quick(1)
    assert type(made) is _Quick
    assert (made.first, made.second) == (1, "two")
    assert made == _Quick(first=1, second="two") != _Quick(1, "three")
    assert hash(made) == hash(_Usual(1))
    assert repr(made) == "_Quick(first=1, second='two')"
    assert inspect.signature(_Quick) == inspect.signature(_Usual)
    for other in (replace(made), copy.copy(made), pickle.loads(pickle.dumps(made))):
        assert other == made
        assert type(other) is _Quick


def test_it_is_frozen_and_has_no_other_attributes() -> None:
    """From its making on."""
    made = _Quick(1)
    for name in ("first", "third"):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(made, name, 2)
    with pytest.raises(TypeError):
        _Quick()  # type: ignore[call-arg]
    assert made.first == 1


def test_only_plain_fields() -> None:
    """What the usual making does beyond setting fields is refused, not left out."""

    @dataclass(frozen=True, slots=True)
    class Listing:
        members: list[int] = field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Checked:
        first: int

        def __post_init__(self) -> None:
            raise ValueError

    for kind in (Listing, Checked):
        with pytest.raises(TypeError):
            quickly_made(kind)


def test_events_of_orders_are_made_so() -> None:
    """The annotations that property tests draw by are kept."""
    assert OrderClosed.__init__.__annotations__["side"] == "Side"
