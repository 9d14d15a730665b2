"""Words that every operator may read: never sealed, so never with anything personal in them."""

from __future__ import annotations

PUBLIC_ERROR = "Public"  # types of errors that begin so have a message for every operator's eyes


class PlainText(str):
    """Text that stays readable in Temporal without the payload keys: a summary, a headline.

    The payload converter looks for the attribute and not for the class: workflows run in a
    sandbox, whose `PlainText` is a class of its own.
    """

    __slots__ = ()

    is_plain_text = True
