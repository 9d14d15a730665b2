"""What is sealed on its way to Temporal, and how.

A sealed payload has the encoding `binary/encrypted` and the id of its key in its metadata, and as
data 12 random bytes of nonce, then AES-256-GCM's ciphertext and tag of the whole payload; format
and key id are the associated data, so that neither can be exchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from infra.temporal.payload_keys import PayloadKeys, PayloadKeysError

SEALED = b"binary/encrypted"
PLAIN_MARK = "plain"  # metadata of what `PlainText` became
_KEY_ID = "encryption-key-id"
_FORMAT = b"rialto-payload-1:"
_NONCE_BYTES = 12
_WORKFLOW_METADATA = b"temporal.api.sdk.v1.WorkflowMetadata"  # handlers and current details


class UnreadablePayloadError(ValueError):
    """A sealed payload was changed, or moved under another key's id."""


class SealingCodec(PayloadCodec):
    """Seals every payload but plain text and the metadata that operators see of a workflow."""

    def __init__(self, keys: PayloadKeys) -> None:
        self._keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads, sealed unless they are meant for every operator's eyes."""
        return [one if _is_for_all(one) else self._sealed(one) for one in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads, opened where they are sealed.

        `PayloadKeysError` without the key, `UnreadablePayloadError` for one that was changed.
        """
        return [self._opened(one) if is_sealed(one) else one for one in payloads]

    def decode_what_opens(self, payloads: Iterable[Payload]) -> list[Payload]:
        """Return the payloads, each as it is where it cannot be opened; for people who look."""
        found = []
        for one in payloads:
            try:
                found.append(self._opened(one) if is_sealed(one) else one)
            except (PayloadKeysError, UnreadablePayloadError):
                found.append(one)
        return found

    def _sealed(self, payload: Payload) -> Payload:
        key_id, cipher = self._keys.active()
        nonce = os.urandom(_NONCE_BYTES)
        name = key_id.encode()
        data = nonce + cipher.encrypt(nonce, payload.SerializeToString(), _FORMAT + name)
        return Payload(metadata={"encoding": SEALED, _KEY_ID: name}, data=data)

    def _opened(self, payload: Payload) -> Payload:
        name = payload.metadata.get(_KEY_ID, b"")
        cipher = self._keys.cipher(name.decode("utf-8", "replace"))
        nonce, data = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, data, _FORMAT + name))
        except (InvalidTag, ValueError) as error:
            raise UnreadablePayloadError("a sealed payload was changed") from error


def is_sealed(payload: Payload) -> bool:
    """Return whether the payload is one of ours."""
    return payload.metadata.get("encoding") == SEALED


def _is_for_all(payload: Payload) -> bool:
    metadata = payload.metadata
    return (
        metadata.get(PLAIN_MARK) == b"1"
        or metadata.get("messageType") == _WORKFLOW_METADATA
        or is_sealed(payload)
    )
