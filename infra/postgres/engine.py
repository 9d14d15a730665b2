"""The connection pool of one process."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def create(database_url: str, *, pool_size: int = 5) -> AsyncEngine:
    """Return an engine for `postgresql+asyncpg://...` that replaces connections that died."""
    return create_async_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_recycle=1800,
    )
