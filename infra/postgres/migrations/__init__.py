"""Numbered changes of the database's schema, applied in order by `infra.postgres.migrate`."""
