"""One way to say that Redis is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError


@contextmanager
def reaching() -> Iterator[None]:
    """Raise `ConnectionError` where Redis is away, or a timeout says that it is slow."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise ConnectionError(f"Redis is away: {error}") from error
