"""A data folder whose exchange does not run: verbs find its database, and nobody else answers."""

from __future__ import annotations

import json
from pathlib import Path

NO_SERVERS = {
    "RIALTO_DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
    "RIALTO_REDIS_URL": "redis://127.0.0.1:1",
    "RIALTO_TEMPORAL_ADDRESS": "127.0.0.1:1",
    "RIALTO_CHAIN_URL": "http://127.0.0.1:1",
}


def write_environment(folder: Path, **answering: str) -> dict[str, str]:
    """Let verbs with `--data` find the servers that answer, by their settings; return them all."""
    environment = {
        "RIALTO_DATA_DIR": str(folder),
        **NO_SERVERS,
        **{f"RIALTO_{name.upper()}": value for name, value in answering.items()},
    }
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / "env.json").write_text(json.dumps(environment))
    return environment
