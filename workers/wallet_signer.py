"""The signer: its own process and task queue, and nothing else on this machine reads the seed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Interceptor, Worker

from activities.signing import SigningActivities
from infra.heartbeat import Heartbeat, rialto_version
from infra.settings import Settings
from infra.telemetry import configure_logging
from infra.temporal.client import connect
from infra.temporal.payload_keys import signer_payload_keys_path
from infra.wallet.keys import load_seed
from infra.wallet.local_vault import LocalVault, PassphraseError
from infra.wallet.officers import signer_pinned_path
from infra.wallet.own_payments import OwnPaymentSigner, is_own_order
from infra.wallet.pause_file import pause_path, pause_refusal
from infra.wallet.pinned_officers import PinnedOfficers
from infra.wallet.signer import SignedTransaction, Signer
from infra.wallet.signer_journal import SignerJournal
from infra.wallet.signer_log import SignerLog, signer_log_path
from infra.wallet.signer_policy import SignerPolicy, signer_policy_path
from infra.wallet.signer_refusal import Refused, SignerFilesError
from infra.wallet.signing_room import SigningRoom
from infra.wallet.vault import VaultError
from workers.stopping import stop_on_signals
from workflows import task_queues

_RETRY_SECONDS = 1.0
_TAKEN_UP = 20  # orders at a time: to fetch one takes longer than to sign it
log = structlog.get_logger(__name__)


class SignerDoor:
    """The signer in the words of the activities' port; writes down what it refuses."""

    def __init__(
        self,
        signer: Signer,
        own: OwnPaymentSigner,
        refusals: SignerLog,
        paused: Callable[[], Refused | None],
    ) -> None:
        self._signer = signer
        self._own = own
        self._paused = paused  # why nothing is paid now; a void pays nobody
        self._refusals = refusals

    def refusal(
        self, order: Mapping[str, Any], now: dt.datetime, approved_for: dt.timedelta
    ) -> str | None:
        """Return why the order would not be signed."""
        checked: object = self._paused()
        if checked is not None:
            pass
        elif is_own_order(order):
            checked = self._own.check(order, now)
        else:
            checked = self._signer.check(order, now, approved_for)
        return self._refused(order, checked, now) if isinstance(checked, Refused) else None

    def sign(
        self, order: Mapping[str, Any], unsigned: bytes, now: dt.datetime
    ) -> tuple[bytes | None, str]:
        """Return (raw transaction, "") or (None, refusal)."""
        if paused := self._paused():
            return self._answer(order, paused, now)
        signer = self._own if is_own_order(order) else self._signer
        return self._answer(order, signer.sign(order, unsigned, now), now)

    def sign_void(
        self, order: Mapping[str, Any], unsigned: bytes, now: dt.datetime
    ) -> tuple[bytes | None, str]:
        """Return (raw transaction that pays nobody, "") or (None, refusal)."""
        return self._answer(order, self._signer.sign_void(order, unsigned, now), now)

    def attention(self) -> dict[str, Any]:
        """Return what the heartbeat says to people: that it signs nothing, and why."""
        paused = self._paused()
        if paused is None:
            return {}
        return {"attention": {"wallet": f"the signer signs nothing: {paused.detail}"}}

    def _answer(
        self, order: Mapping[str, Any], signed: SignedTransaction | Refused, now: dt.datetime
    ) -> tuple[bytes | None, str]:
        if isinstance(signed, Refused):
            return None, self._refused(order, signed, now)
        return signed.raw, ""

    def _refused(self, order: Mapping[str, Any], refused: Refused, now: dt.datetime) -> str:
        """Return the refusal as text, once it stands in the log together with the whole order."""
        text = f"{refused.reason} ({refused.detail})" if refused.detail else str(refused.reason)
        detail = {
            "withdrawal": str(order.get("withdrawal_id") or order.get("payment_id")),
            "reason": str(refused.reason),
            "detail": refused.detail,
            "order": json.dumps(dict(order), sort_keys=True, default=str),
        }
        self._refusals.append(now, "refused", detail)
        return text


def open_signer(settings: Settings) -> SignerDoor:
    """Read the seed and the signer's own files."""
    data_dir = settings.data_dir
    seed, policy = load_seed(LocalVault(data_dir)), SignerPolicy.load(signer_policy_path(data_dir))
    journal = SignerJournal(data_dir / "signer" / "signed.jsonl")
    pinned = PinnedOfficers(signer_pinned_path(data_dir))
    room = SigningRoom(journal)  # one for all that leaves the hot wallet
    signer = Signer(seed, policy, pinned, journal, room)

    def cold_address() -> str | None:
        return SignerPolicy.load(signer_policy_path(data_dir)).cold_address

    own = OwnPaymentSigner(seed, policy, journal, room, cold_address, pinned)
    return SignerDoor(
        signer,
        own,
        SignerLog(signer_log_path(data_dir)),
        lambda: pause_refusal(pause_path(data_dir), pinned),
    )


def signer_worker(client: Client, signer: SignerDoor, *interceptors: Interceptor) -> Worker:
    """Return the worker of the queue `signer`.

    Its activities never wait in the middle, so that one of them is done before the next begins,
    however many are taken up at once: checks and journal see one order at a time.
    """
    activities = SigningActivities(signer, lambda: dt.datetime.now(dt.UTC))
    return Worker(
        client,
        task_queue=task_queues.SIGNER,
        build_id=rialto_version(),  # else the SDK hashes every imported module: five seconds
        activities=[activities.check, activities.sign, activities.sign_void],
        interceptors=interceptors,
        max_concurrent_activities=_TAKEN_UP,
        graceful_shutdown_timeout=dt.timedelta(seconds=5),
    )


async def connect_patiently(settings: Settings, stopping: asyncio.Event) -> Client | None:
    """Return a client as soon as Temporal answers; None when told to stop first."""
    said = False
    while not stopping.is_set():
        try:
            own = signer_payload_keys_path(settings.data_dir)
            return await connect(settings, own if own.exists() else None)
        except RuntimeError as error:
            if not said:
                log.warning("waiting for Temporal", error=str(error))
            said = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _RETRY_SECONDS)
    return None


async def run(settings: Settings, stopping: asyncio.Event) -> None:
    """Sign until told to stop; a signature that has begun is finished."""
    signer = open_signer(settings)
    client = await connect_patiently(settings, stopping)
    if client is None:
        return
    redis = Redis.from_url(settings.redis_url, socket_connect_timeout=1.0)
    heartbeat = Heartbeat("wallet-signer", settings.run_dir, redis)
    try:
        async with signer_worker(client, signer):
            while not stopping.is_set():
                await heartbeat.beat(detail={"queue": task_queues.SIGNER, **signer.attention()})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), 1.0)
    finally:
        await redis.aclose()


async def _until_signal(settings: Settings) -> None:
    stopping = stop_on_signals()
    await run(settings, stopping)


def main() -> None:
    """Run the signer."""
    import uvloop

    settings = Settings()
    configure_logging("wallet-signer", settings.log_level, settings.log_format)
    try:
        uvloop.run(_until_signal(settings))
    except (VaultError, PassphraseError, SignerFilesError) as error:
        log.error("the signer cannot start", error=str(error))  # noqa: TRY400 - no trace of keys
        sys.exit(1)


if __name__ == "__main__":
    main()
