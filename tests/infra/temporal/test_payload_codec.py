"""What is sealed, what stays readable, and how keys change."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from domain.approval import Decision
from domain.plain_text import PlainText
from infra.temporal.data_converter import data_converter
from infra.temporal.payload_codec import SealingCodec, UnreadablePayloadError
from infra.temporal.payload_keys import (
    PayloadKeys,
    PayloadKeysError,
    ensure_payload_keys,
    give_ring_to_signer,
    load_ring,
    rotate_payload_keys,
    signer_payload_keys_path,
)

NAME = "Ludovico Planted"
DECISION = Decision("marta", "approve", f"to {NAME}", "00")


@pytest.fixture
def ring_path(tmp_path: Path) -> Path:
    """Give a fresh ring's file."""
    path = tmp_path / "secrets" / "payload-keys.json"
    ensure_payload_keys(path)
    return path


@pytest.fixture
def converter(ring_path: Path) -> DataConverter:
    """Give the converter of that ring."""
    return data_converter(PayloadKeys(ring_path))


async def test_values_are_sealed_and_come_back(converter: DataConverter) -> None:
    """Nothing of the value is in the bytes; each sealing is another."""
    [first] = await converter.encode([DECISION])
    [second] = await converter.encode([DECISION])
    assert NAME.encode() not in first.SerializeToString()
    assert first.metadata["encoding"] == b"binary/encrypted"
    assert first.data != second.data
    assert await converter.decode([first], [Decision]) == [DECISION]


async def test_words_for_all_stay_readable(converter: DataConverter) -> None:
    """Plain text and the metadata of a workflow; both are what they were to whoever decodes."""
    [summary] = await converter.encode([PlainText("engine: debit")])
    assert summary.data == b'"engine: debit"'
    assert await converter.decode([summary], [str]) == ["engine: debit"]
    details = WorkflowMetadata(current_details="Stage `approval`")
    [shown] = await converter.encode([details])
    assert b"Stage `approval`" in shown.data


async def test_what_was_sent_before_there_were_keys_is_read(converter: DataConverter) -> None:
    """Recorded histories and open workflows of an older version go on."""
    [plain] = await DataConverter.default.encode([DECISION])
    assert await converter.decode([plain], [Decision]) == [DECISION]


async def test_a_failure_is_sealed_with_its_causes(converter: DataConverter) -> None:
    """Message and trace need the key; the type does not."""
    cause = ValueError(f"no such customer: {NAME}")
    error = ApplicationError(f"refused for {NAME}", NAME, type="Refused")
    error.__cause__ = cause
    failure = Failure()
    await converter.encode_failure(error, failure)
    assert NAME.encode() not in failure.SerializeToString()
    assert failure.application_failure_info.type == "Refused"
    assert failure.cause.application_failure_info.type == "ValueError"
    found = await converter.decode_failure(failure)
    assert isinstance(found, ApplicationError)
    assert (found.message, found.details) == (f"refused for {NAME}", (NAME,))
    assert str(found.__cause__).endswith(f"no such customer: {NAME}")


async def test_a_public_failure_keeps_its_message_but_no_trace(converter: DataConverter) -> None:
    """It is written for every operator; what caused it is not."""
    failure = Failure()
    error = ApplicationError("nothing is parked", type="PublicRefusal")
    error.__cause__ = ValueError(NAME)
    await converter.encode_failure(error, failure)
    assert (failure.message, failure.stack_trace) == ("nothing is parked", "")
    assert NAME.encode() not in failure.SerializeToString()
    found = await converter.decode_failure(failure)
    assert isinstance(found, ApplicationError)
    assert (found.type, found.message) == ("PublicRefusal", "nothing is parked")


async def test_rotation_counts_at_once_and_old_payloads_open(tmp_path: Path) -> None:
    """Processes that are running seal under the new key, and read what the former one sealed."""
    path = tmp_path / "payload-keys.json"
    ensure_payload_keys(path)
    give_ring_to_signer(tmp_path, path)
    ours, signers = (
        data_converter(PayloadKeys(one)) for one in (path, signer_payload_keys_path(tmp_path))
    )
    [before] = await ours.encode([NAME])
    ring = rotate_payload_keys(tmp_path, path)
    [after] = await ours.encode([NAME])
    assert len(ring.keys) == 2
    assert after.metadata["encryption-key-id"] == ring.active.encode()
    assert before.metadata["encryption-key-id"] != ring.active.encode()
    assert await signers.decode([before, after]) == [NAME, NAME]


async def test_a_changed_payload_is_refused(ring_path: Path) -> None:
    """Another byte, another key's id, or no key: never other content."""
    rotate_payload_keys(ring_path.parent, ring_path)
    codec = SealingCodec(PayloadKeys(ring_path))
    [sealed] = await codec.encode([Payload(data=b"content")])
    other = next(
        name
        for name in load_ring(ring_path).keys
        if name.encode() not in sealed.metadata["encryption-key-id"]
    )
    bent, moved, lost = Payload(), Payload(), Payload()
    for copy in (bent, moved, lost):
        copy.CopyFrom(sealed)
    bent.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    moved.metadata["encryption-key-id"] = other.encode()
    lost.metadata["encryption-key-id"] = b"00000000"
    for wrong in (bent, moved):
        with pytest.raises(UnreadablePayloadError):
            await codec.decode([wrong])
    with pytest.raises(PayloadKeysError, match="00000000"):
        await codec.decode([lost])
    assert codec.decode_what_opens([bent, sealed]) == [bent, Payload(data=b"content")]


def test_the_ring_is_the_owners_and_is_made_once(ring_path: Path) -> None:
    """Mode 0600; a second start keeps the keys."""
    before = ring_path.read_text()
    ensure_payload_keys(ring_path)
    assert ring_path.read_text() == before
    assert stat.S_IMODE(ring_path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"active": "a", "keys": {}}', '{"active": "00000000", "keys": {"00000000": "ff"}}'],
)
def test_a_malformed_ring_is_refused(ring_path: Path, text: str) -> None:
    """By a message that names the file."""
    ring_path.write_text(text)
    with pytest.raises(PayloadKeysError, match=r"payload-keys\.json"):
        PayloadKeys(ring_path)
