"""Set the wallet up on a machine: keys, officers, the signer's own policy, deposit addresses.

On a real installation these are a ceremony with witnesses; here `./rialto up` runs them. All are
idempotent; a seed and officers' keys that exist are never replaced.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.postgres import tables
from infra.wallet import demo, officers
from infra.wallet.keys import WalletPublic, create_wallet, deposit_path, load_public
from infra.wallet.rpc import JsonRpc
from infra.wallet.signer_policy import signer_policy_path

CHAIN = "ETH"
SIGNATURES_PER_HOUR = 36_000
HOUR_OF_THRESHOLDS, DAY_OF_THRESHOLDS = 1_000, 5_000  # the demo's limits, in approval thresholds


@dataclass(frozen=True, slots=True)
class WalletSetup:
    """What a prepared wallet looks like from outside."""

    public: WalletPublic
    contracts: dict[str, str]
    officers: tuple[str, ...]


async def prepare_demo_wallet(data_dir: Path, chain_url: str, engine: AsyncEngine) -> WalletSetup:
    """Make keys and officers, deploy the tokens, record them, pin the signer's policy.

    The asset rows must exist.
    """
    public = create_wallet(data_dir)
    names = tuple(officers.create_officers(data_dir))
    contracts = await demo.deploy_tokens(chain_url, data_dir)
    await demo.record_contracts(engine, contracts)
    await pin_signer_policy(data_dir, chain_url, engine)
    return WalletSetup(public=public, contracts=contracts, officers=names)


async def pin_signer_policy(data_dir: Path, chain_url: str, engine: AsyncEngine) -> None:
    """Write the signer's policy from the asset table, to be reviewed by whoever runs the signer.

    It is written again when a development chain was wiped and its contracts moved.
    """
    async with JsonRpc(chain_url) as rpc:
        chain_id = int(await rpc.call("eth_chainId"), 16)
    query = sa.select(tables.asset).where(tables.asset.c.chain == CHAIN)
    async with engine.connect() as connection:
        rows = (await connection.execute(query.order_by(tables.asset.c.asset_id))).all()
    policy = {
        "chain_id": chain_id,
        "signatures_per_hour": SIGNATURES_PER_HOUR,
        "allow_list": None,
        "cold_address": load_public(data_dir).cold_address,
        "assets": {
            row.code: {
                "contract": row.contract,
                "approval_above": str(int(row.approval_above)),
                "amount_per_hour": str(int(row.approval_above) * HOUR_OF_THRESHOLDS),
                "amount_per_day": str(int(row.approval_above) * DAY_OF_THRESHOLDS),
            }
            for row in rows
        },
    }
    path = signer_policy_path(data_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(json.dumps(policy, indent=1) + "\n")
    path.chmod(0o600)


async def ensure_deposit_address(
    connection: AsyncConnection, public: WalletPublic, customer_id: int, deposit_index: int
) -> str:
    """Return the customer's deposit address, recording it so that the watcher looks for it."""
    address = public.deposit_address(deposit_index)
    await connection.execute(
        insert(tables.deposit_address)
        .values(
            chain=CHAIN,
            address=address,
            customer_id=customer_id,
            path=deposit_path(deposit_index),
        )
        .on_conflict_do_nothing()
    )
    return address
