"""How payloads travel to and from the Temporal server: plain JSON of dataclasses.

The one place for a codec: a data converter with one here encrypts what every client and worker
of the exchange sends.
"""

from __future__ import annotations

from temporalio.converter import DataConverter


def data_converter() -> DataConverter:
    """Return the data converter that every client and worker shares."""
    return DataConverter.default
