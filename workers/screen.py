"""The one screen that `./rialto up` ends with: where everything is, and lines to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from api.staff.app import HOME as CONSOLE
from domain.liquidation_story import LIQUIDATION_WORKFLOW
from infra.wallet import officers
from workers import demo_perpetuals


def copyable(demo: Mapping[str, Any], data_dir: Path | None) -> dict[str, str]:
    """Return the lines to copy by name; they work in the folder of the script `rialto`.

    `data_dir` is the folder when it is not the default one, which the verbs find themselves.
    """
    where = f" --data {shlex.quote(str(data_dir))}" if data_dir is not None else ""
    lines = {
        "curl": _signed_curl(demo),
        "order": f"./rialto order buy ETH/USDT 0.1 --market{where}",
    }
    withdrawals = demo.get("withdrawals") or {}
    if waiting := withdrawals.get("waiting"):
        lines["approve"] = f"./rialto approve {waiting} --officer marta{where}"
    if parked := withdrawals.get("parked"):
        lines["retry"] = f"./rialto faucet hot BTC 1{where} && ./rialto ops retry {parked}{where}"
    lines["status"] = f"./rialto status{where}"
    lines["verify"] = f"./rialto verify{where}"
    return lines


def _signed_curl(demo: Mapping[str, Any]) -> str:
    """Return one line that signs an order with openssl and sends it with curl."""
    account = demo["accounts"][0]
    body = json.dumps({"symbol": "ETH/USDT", "side": "buy", "type": "market", "quantity": "0.01"})
    return "; ".join(
        (
            "T=$(date +%s%3N)",
            f"B='{body}'",
            (
                "S=$(printf '%s\\n' \"$T\" POST /v1/orders '' '' \"$B\" | "
                f"openssl dgst -sha256 -hmac {account['api_secret']} | sed 's/^.* //')"
            ),
            (
                f"curl -sS {demo['base_url']}/v1/orders -H 'RIALTO-KEY: {account['api_key']}' "
                '-H "RIALTO-TIMESTAMP: $T" -H "RIALTO-SIGNATURE: $S" '
                "-H 'Content-Type: application/json' -d \"$B\""
            ),
        )
    )


_MEANING = {
    "curl": "an order, signed with openssl and sent with curl",
    "order": "the same through the command line",
    "approve": "a withdrawal above the limit waits for an officer's signature",
    "retry": "a withdrawal is parked: the hot wallet is short; refill it and let it go on",
    "status": "the nine components and their processes",
    "verify": "do engine, ledger and chain agree, to the last unit?",
}


def _liquidations(temporal_ui: str) -> str:
    """Return the address of Temporal's list of liquidations, open ones and those that ended."""
    wanted = f"WorkflowType='{LIQUIDATION_WORKFLOW}'"
    return f"{temporal_ui}?query={quote(wanted)}"


def _staff(demo: Mapping[str, Any]) -> list[str]:
    """Return where staff decides, and how it signs in: with keys that lie in the data folder."""
    key, address = demo.get("staff_key"), urlsplit(demo["temporal_ui"])
    if not key or not address.netloc:
        return []
    officer = officers.private_key_path(Path(key).parents[1], officers.DEMO_OFFICERS[0])
    return [
        f"  staff console  {address.scheme}://{address.netloc}{CONSOLE}",
        f"     sign in     as olga (an operator) with the key {key}",
        f"                 as marta (an officer) with {officer}",
    ]


def screen(demo: Mapping[str, Any], data_dir: Path | None, link: str = "") -> str:
    """Return the screen; `link` signs the demo's customer in once."""
    account = demo["accounts"][0]
    perpetual = demo_perpetuals.MAIN.symbol
    lines = [
        "",
        f"Rialto is up after {demo['healthy_seconds']} s. Ctrl-C stops it; its data stays.",
        "",
        f"  page           {demo['base_url']}/",
        *(f"     as well     {url}/" for url in demo.get("gateways", ())[1:]),
        *(
            [f"     sign in     {link}", "                 (once, within 15 minutes)"]
            if link
            else []
        ),
        f"  Temporal UI    {demo['temporal_ui'] or '(not started here)'}",
        *_staff(demo),
        f"  perpetuals     {demo['base_url']}/#{perpetual.replace('/', '-')}",
        *(
            [f"  liquidations   {_liquidations(demo['temporal_ui'])}"]
            if demo["temporal_ui"]
            else []
        ),
        f"  demo account   {account['name']}",
        f"     API key     {account['api_key']}",
        f"     secret      {account['api_secret']}",
        "",
        "To copy into another terminal, in this folder:",
    ]
    for name, line in copyable(demo, data_dir).items():
        lines += ["", f"  # {_MEANING[name]}", f"  {line}"]
    return "\n".join([*lines, ""])
