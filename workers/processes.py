"""The processes of the exchange: their names, files, and the order in which they start."""

from __future__ import annotations

from dataclasses import dataclass

from domain.process_beat import repeated_name

MOST_GATEWAYS = 8


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process. `module` has `main()`; a `sharded` one runs once per shard.

    One that is `repeated` runs as often as is wanted, the first under the bare name.
    An `apart` one never shares memory pages with others (see `workers/nursery.py`): the engine for
    its even pace, the signer for its keys. One with its `own_user` runs as that where root allows.
    """

    name: str
    module: str
    help: str
    sharded: bool = False
    repeated: bool = False
    apart: bool = False
    own_user: bool = False

    @property
    def verb(self) -> str:
        """Return the command line verb that runs this process by itself."""
        return self.name

    def process_name(self, number: int) -> str:
        """Return the name under which the process beats; `number` counts from 0."""
        if self.repeated:
            return repeated_name(self.name, number + 1)
        return f"{self.name}-{number}" if self.sharded else self.name

    def count(self, shards: int, gateways: int) -> int:
        """Return how many of it run."""
        if self.repeated:
            return gateways
        return shards if self.sharded else 1


# In the order of their start; they stop in the reverse order, so that whoever asks goes before
# whoever answers.
PROCESSES = (
    ProcessSpec(
        "matching-engine",
        "workers.matching_engine",
        "Match orders: numbers commands, journals them, answers.",
        sharded=True,
        apart=True,
    ),
    ProcessSpec(
        "wallet-signer",
        "workers.wallet_signer",
        "Sign withdrawals; alone with the keys.",
        apart=True,
        own_user=True,
    ),
    ProcessSpec("temporal-worker", "workers.temporal_worker", "Run workflows and their steps."),
    ProcessSpec("chain-watcher", "workers.chain_watcher", "Watch the chain for deposits."),
    ProcessSpec(
        "market-data",
        "workers.market_data",
        "Mirror books, publish trades and candles.",
        sharded=True,
    ),
    ProcessSpec(
        "risk-monitor",
        "workers.risk_monitor",
        "Freeze who is below his margin; liquidations, funding.",
        sharded=True,
    ),
    ProcessSpec("order-history", "workers.order_history", "Write orders to the database."),
    ProcessSpec("gateway", "workers.gateway", "Serve the public API and the page.", repeated=True),
    ProcessSpec("bots", "workers.bots", "Trade on the demo markets."),
)
