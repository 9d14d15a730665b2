"""The codec as Temporal's UI calls it: `{"payloads": [...]}` in protobuf's JSON, both ways."""

from __future__ import annotations

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from temporalio.api.common.v1 import Payload, Payloads

from infra.temporal.payload_codec import SealingCodec


class JsonCodec:
    """Seals and opens payloads for staff; `ValueError` for what is no list of payloads."""

    def __init__(self, codec: SealingCodec) -> None:
        self._codec = codec

    async def encode(self, body: bytes) -> bytes:
        """Return the payloads, sealed."""
        return _json(await self._codec.encode(_payloads(body)))

    async def decode(self, body: bytes) -> bytes:
        """Return the payloads, opened; one that does not open comes back as it is."""
        return _json(self._codec.decode_what_opens(_payloads(body)))


def _payloads(body: bytes) -> list[Payload]:
    try:
        return list(Parse(body, Payloads()).payloads)
    except (ParseError, UnicodeDecodeError) as error:
        raise ValueError("not a list of payloads") from error


def _json(payloads: list[Payload]) -> bytes:
    return MessageToJson(Payloads(payloads=payloads), indent=None).encode()
