"""Settings of the Temporal namespace that its start line does not have."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client


async def set_retention(client: Client, days: int) -> None:
    """Keep closed workflows for `days`; `start-dev` would keep them for one."""
    length = Duration()
    length.FromTimedelta(timedelta(days=days))
    await client.workflow_service.update_namespace(
        UpdateNamespaceRequest(
            namespace=client.namespace,
            config=NamespaceConfig(workflow_execution_retention_ttl=length),
        )
    )


async def retention_days(client: Client) -> int:
    """Return for how many days closed workflows are kept."""
    answer = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace)
    )
    return answer.config.workflow_execution_retention_ttl.ToTimedelta().days
