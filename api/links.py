"""Links of the description: which later requests take what an answer has made."""

from __future__ import annotations

from typing import Any

# What makes an object, and the member of its answer that later paths name it by.
_MAKERS = {
    "/v1/orders": "order_id",
    "/v1/order-lists": "order_list_id",
    "/v1/transfers": "transfer_id",
    "/v1/withdrawals": "withdrawal_id",
    "/v1/withdrawal-addresses": "address",
    "/v1/keys": "key_id",
}


def add_links(document: dict[str, Any]) -> None:
    """Add to each answer that makes an object the requests that look at, change or end it."""
    paths = document["paths"]
    for maker, name in _MAKERS.items():
        links = {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {name: f"$response.body#/{name}"},
            }
            for path, operations in paths.items()
            if path == f"{maker}/{{{name}}}"
            for operation in operations.values()
        }
        for status, answer in paths[maker]["post"]["responses"].items():
            if status.startswith("2"):
                answer["links"] = links
