"""Frozen values that are made by the million, at the price of plain ones."""

from __future__ import annotations

from dataclasses import MISSING, fields
from types import FunctionType
from typing import Any, TypeVar

Value = TypeVar("Value")


def quickly_made(kind: type[Value]) -> type[Value]:
    """Return a frozen dataclass with slots whose making takes a quarter of the time.

    The usual `__init__` of a frozen one calls `object.__setattr__` for each field. This one lets a
    value be of an open twin, of the same slots, while its fields are set; nobody sees it so.
    """
    usual: Any = kind.__init__
    members = fields(kind)  # type: ignore[arg-type]
    if any(one.default_factory is not MISSING or not one.init or one.kw_only for one in members):
        raise TypeError(f"{kind.__name__}: a field without a plain value")
    if hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} does something after its making")
    names = [one.name for one in members]
    open_twin = type(f"_{kind.__name__}", kind.__bases__, {"__slots__": names})
    made = _init(names, {"_set": object.__setattr__, "_open": open_twin, "_frozen": kind})
    made.__defaults__ = usual.__defaults__
    made.__annotations__ = usual.__annotations__
    made.__qualname__ = usual.__qualname__
    kind.__init__ = made  # type: ignore[method-assign]
    return kind


def _init(names: list[str], scope: dict[str, Any]) -> FunctionType:
    lines = (
        f"def __init__(self, {', '.join(names)}):",
        " _set(self, '__class__', _open)",
        *(f" self.{name} = {name}" for name in names),
        " self.__class__ = _frozen",
    )
    exec("\n".join(lines), scope)  # noqa: S102 - of names of fields alone, as dataclasses do
    made: FunctionType = scope["__init__"]
    return made
