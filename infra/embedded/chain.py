"""A local EVM chain: anvil, with its state in a file."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from infra.embedded.anvil_package import anvil_binary
from infra.embedded.ports import LOOPBACK
from infra.embedded.server import EmbeddedServer
from infra.embedded.temporal import http_json

CHAIN_ID = 31337
_QUIET_SECONDS = 60.0  # without a transaction: long enough for all confirmations
_IDLE_BLOCK_SECONDS = 15
_LOOK_BACK = 20  # blocks
_SAVE_BLOCKS = 60  # so many empty blocks may be unsaved
_SAVE_SECONDS = 30.0
_KEPT_BLOCKS = 1_000  # of the empty ones; confirmations and reorganisations are far less deep
_COUNT = "eth_getBlockTransactionCountByNumber"


class ChainServer(EmbeddedServer):
    """Anvil on loopback; a block a second while something moves, few while nothing does.

    Anvil itself would write its whole state, with every block there ever was, once a second: after
    a day that is megabytes a second. So `look_after` asks for the state and saves it when a block
    had a transaction, and after every `_SAVE_BLOCKS` empty ones, atomically and without the empty
    blocks of old. What a kill -9 can lose is empty blocks, which are mined again at the next start
    (the watcher takes them for a small reorganisation), and transactions of the last second.

    `also_at_once` mines each transaction at once as well, and `persistent` False saves nothing:
    both for tests.
    """

    def __init__(
        self,
        data_dir: Path,
        log_path: Path,
        port: int,
        *,
        also_at_once: bool = False,
        persistent: bool = True,
    ) -> None:
        super().__init__("chain", data_dir, log_path, port)
        self._also_at_once = also_at_once
        self._persistent = persistent
        self._seen_block = 0
        self._saved_block = -1
        self._unsaved = True
        self._caught_up = False
        self._busy_until = 0.0
        self._idle = False
        self._saving = threading.Lock()

    @property
    def url(self) -> str:
        """Return the JSON-RPC address."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def _state(self) -> Path:
        return self.data_dir / "state.json"

    @property
    def _height(self) -> Path:
        return self.data_dir / "height"

    def prepare(self) -> None:
        """Find (or install) the program; an unreadable state is put aside, never overwritten."""
        super().prepare()
        anvil_binary()
        if self._state.exists() and not _is_whole(self._state):
            self._state.rename(self.data_dir / "state.torn.json")

    def command(self) -> list[str]:
        """Return the chain's command line."""
        blocks = ("--block-time", "1", *(("--mixed-mining",) if self._also_at_once else ()))
        saved = self._persistent and self._state.exists()
        state = ("--load-state", str(self._state)) if saved else ()
        return [
            *(str(anvil_binary()), "--host", LOOPBACK, "--port", str(self.port)),
            *("--chain-id", str(CHAIN_ID), "--quiet", *blocks, *state),
        ]

    def launch(self) -> None:
        """Start at full pace."""
        self._seen_block, self._idle = 0, False
        self._saved_block, self._unsaved, self._caught_up = -1, True, not self._persistent
        self._busy_until = time.monotonic() + _QUIET_SECONDS
        super().launch()

    def answers(self) -> bool:
        """Tell whether the chain answers, as high as it was."""
        if self._call("eth_chainId") != hex(CHAIN_ID):
            return False
        if not self._caught_up:
            self._catch_up()
        return True

    def _catch_up(self) -> None:
        """Mine again the empty blocks that were not saved.

        More than those that are never saved means another or an old chain: then it stays behind,
        so that the watcher sees it and nothing is paid.
        """
        now, was = self._block_number(), _number_in(self._height)
        if now is None:
            return
        if 0 < was - now <= 2 * _SAVE_BLOCKS:
            self._call("anvil_mine", hex(was - now))
        self._caught_up = True

    def stop(self, timeout_seconds: float = 15) -> None:
        """Save the last state, then stop."""
        if self._persistent and self.alive():
            self._save()
        super().stop(timeout_seconds)

    def look_after(self) -> None:
        """Once a second: keep the pace, and save what is worth it."""
        last = self._block_number()
        if last is None:
            return
        moved = self._has_transactions(last)
        self._keep_pace(moved or self._call(_COUNT, "pending") not in (None, "0x0"))
        if self._persistent:
            self._unsaved |= moved
            if self._unsaved or last - self._saved_block >= _SAVE_BLOCKS:
                self._save()
            with contextlib.suppress(OSError):  # a full disk; the next look tries again
                self._height.write_text(str(last))

    def _has_transactions(self, last: int) -> bool:
        """Tell whether a block since the last look has any; if those are too many, it may."""
        first, self._seen_block = self._seen_block + 1, last
        if last - first >= _LOOK_BACK:
            return True
        blocks = range(first, last + 1)
        return any(self._call(_COUNT, hex(block)) not in (None, "0x0") for block in blocks)

    def _keep_pace(self, busy: bool) -> None:
        """Mine a block a second while there are transactions, few while there are none."""
        if busy:
            self._busy_until = time.monotonic() + _QUIET_SECONDS
        idle = time.monotonic() > self._busy_until
        if idle != self._idle:
            self._call("evm_setIntervalMining", _IDLE_BLOCK_SECONDS if idle else 1)
            self._idle = idle

    def _save(self) -> None:
        """Replace the saved state by the present one; what fails is tried again."""
        with self._saving:
            self._save_state()

    def _save_state(self) -> None:
        dumped = self._call("anvil_dumpState", timeout_seconds=_SAVE_SECONDS)
        if not isinstance(dumped, str):
            return
        state = json.loads(gzip.decompress(bytes.fromhex(dumped.removeprefix("0x"))))
        fresh = self._state.with_suffix(".new")
        try:
            with fresh.open("w") as file:
                json.dump(_without_old_blocks(state), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._state)
        except OSError:
            return
        self._saved_block, self._unsaved = int(state["best_block_number"]), False

    def _block_number(self) -> int | None:
        latest = self._call("eth_blockNumber")
        return int(latest, 16) if isinstance(latest, str) else None

    def _call(self, method: str, *params: object, timeout_seconds: float = 2) -> object:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (http_json(self.url, request, timeout_seconds) or {}).get("result")


def _without_old_blocks(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state without empty blocks that nobody asks for any more."""
    oldest = int(state["best_block_number"]) - _KEPT_BLOCKS
    kept = [
        block
        for block in state["blocks"]
        if block["transactions"] or not 0 < int(block["header"]["number"], 16) < oldest
    ]
    return {**state, "blocks": kept}


def _number_in(path: Path) -> int:
    """Return the number that a file holds; 0 where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _is_whole(path: Path) -> bool:
    """Tell whether a file holds one JSON document."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
