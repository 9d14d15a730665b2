"""What a customer may do, changed with who and why, on a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.customer import Standing
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_file import CustomerFileStore
from infra.postgres.customers import CustomerStore
from infra.secret_box import SecretBox

pytestmark = pytest.mark.servers


async def test_standing_is_changed_once_and_recorded(database: AsyncEngine, tmp_path: Path) -> None:
    """From what to what, by whom, why; the same again changes and logs nothing."""
    customers = CustomerStore(database, SecretBox.from_file(tmp_path / "key"))
    alice = await customers.create_customer("alice")
    key = await customers.create_api_key(alice.customer_id)
    store = CustomerFileStore(database, AuditStore())
    assert await store.find("bob") is None
    assert await store.find("alice") == (alice.customer_id, "active")
    for changed in (True, False):
        found = await store.set_standing(alice.customer_id, Standing.FROZEN, "staff:clara", "SAR 7")
        assert found is changed
    found_key = await customers.find_key(key.api_key)
    assert found_key is not None
    assert found_key.customer_status == "frozen"
    await store.note(alice.customer_id, "staff:clara", "asked for papers")
    with pytest.raises(LookupError):
        await store.set_standing(99, Standing.FROZEN, "staff:clara", "nobody")
    async with database.connect() as conn:
        records = await AuditStore().read(conn, f"customer-{alice.customer_id}")
    assert [(record.actor, record.action, dict(record.detail)) for record in records] == [
        (
            "staff:clara",
            "standing_changed",
            {"from": "active", "to": "frozen", "reason": "SAR 7"},
        ),
        ("staff:clara", "case_note", {"text": "asked for papers"}),
    ]
