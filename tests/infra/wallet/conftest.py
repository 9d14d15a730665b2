"""The fixtures of the database that wallet tests share."""

from tests.infra.postgres.conftest import database

__all__ = ["database"]
