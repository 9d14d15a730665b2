"""The log names what failed and where, never whom it was about."""

from __future__ import annotations

import logging

from infra.log_privacy import WithoutMessages

NAME = "Ludovico Planted"


def _parse(number: str) -> int:
    try:
        return int(number)
    except ValueError as error:
        raise RuntimeError(f"refused {NAME}") from error


def _logged(name: str) -> str:
    try:
        _parse(NAME)
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
        record = logging.LogRecord(name, logging.WARNING, __file__, 1, "failed: %s", (error,), info)
    assert WithoutMessages().filter(record)
    return logging.Formatter().format(record)


def test_what_the_sdk_logs_loses_messages() -> None:
    """Types and places stay, for the error and its cause."""
    text = _logged("temporalio.activity")
    assert NAME not in text
    assert "RuntimeError" in text
    assert "caused by ValueError" in text
    assert "test_log_privacy.py:" in text


def test_our_own_lines_stay() -> None:
    """What we log, we word ourselves."""
    assert NAME in _logged("workers.gateway")
