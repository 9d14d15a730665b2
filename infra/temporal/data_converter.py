"""How values travel to and from the Temporal server: JSON of dataclasses, sealed.

Plain text and `Public...` errors stay readable for every operator; all else needs the keys. What
was sent before there were keys is read as it is.
"""

from __future__ import annotations

from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError

from domain.plain_text import PUBLIC_ERROR
from infra.temporal.payload_codec import PLAIN_MARK, SealingCodec
from infra.temporal.payload_keys import PayloadKeys


class PlainTextConverter(EncodingPayloadConverter):
    """Marks `PlainText` as what the codec leaves alone; as data it is JSON like any text."""

    def __init__(self) -> None:
        self._json = JSONPlainPayloadConverter()

    @property
    def encoding(self) -> str:
        """Return a name that no payload has: this converter only makes them."""
        return "plain-text"

    def to_payload(self, value: Any) -> Payload | None:
        """Return the marked payload of plain text; None for everything else."""
        if not getattr(value, "is_plain_text", False):
            return None
        payload = self._json.to_payload(str(value))
        assert payload is not None
        payload.metadata[PLAIN_MARK] = b"1"
        return payload

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Return the text."""
        return self._json.from_payload(payload, type_hint)


class RialtoPayloadConverter(CompositePayloadConverter):
    """Temporal's own converters, after the one for plain text."""

    def __init__(self) -> None:
        super().__init__(
            PlainTextConverter(), *DefaultPayloadConverter.default_encoding_payload_converters
        )


class SealingFailureConverter(DefaultFailureConverter):
    """Moves messages and stack traces to where the codec seals them, but for `Public...` types."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Fill `failure`; each cause comes by here as well."""
        super().to_failure(exception, payload_converter, failure)
        kind = exception.type if isinstance(exception, ApplicationError) else None
        if isinstance(exception, ApplicationError) and (kind or "").startswith(PUBLIC_ERROR):
            failure.message = exception.message
            failure.ClearField("encoded_attributes")


def data_converter(keys: PayloadKeys) -> DataConverter:
    """Return the data converter that every client and worker shares."""
    return DataConverter(
        payload_converter_class=RialtoPayloadConverter,
        payload_codec=SealingCodec(keys),
        failure_converter_class=SealingFailureConverter,
    )
