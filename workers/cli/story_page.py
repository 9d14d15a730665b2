"""Pages to be printed: a withdrawal's story, the audit log of a period; no scripts in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
body { font: 10pt/1.45 Georgia, serif; margin: 2cm auto; max-width: 26cm; color: #111 }
h1 { font-size: 16pt; margin: 0 0 .3em } h2 { font-size: 12pt; margin: 1.6em 0 .4em }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top;
padding: .25em .6em .25em 0; border-bottom: 1px solid #ccc } tr { break-inside: avoid }
code { font: 8pt/1.4 monospace; overflow-wrap: anywhere } .wrong { color: #a00; font-weight: bold }
@page { size: A4 landscape; margin: 1.5cm } @media print { body { margin: 0; max-width: none } }
"""


def story_page(story: Mapping[str, Any]) -> str:
    """Return the page of a withdrawal's story as `ComplianceFile.withdrawal` tells it."""
    facts = {
        "Customer": story["customer"],
        "Amount": f"{story['amount']} {story['asset']} (fee {story['fee']})",
        "To": story["address"],
        "Requested": story["requested_at"],
        "State": story["state"],
        "Transaction": story["tx_hash"] or "-",
    }
    head = "".join(
        f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items()
    )
    answer = "".join(f"<li>{escape(line)}</li>" for line in story["answer"])
    runs = "".join(
        f"<li><code>{escape(run['run_id'])}</code> from {escape(run['source'])}"
        f"{_fault(run['fault'])}</li>"
        for run in story["history"]
    )
    differences = "".join(f'<li class="wrong">{escape(line)}</li>' for line in story["differences"])
    return _page(
        f"Withdrawal {story['withdrawal_id']}",
        f"<table>{head}</table><h2>Who let it out, and why</h2><ol>{answer}</ol>"
        f"<h2>Compared with the workflow's history</h2>"
        f"<ul>{runs or '<li>there is none</li>'}{differences or '<li>nothing differs</li>'}</ul>"
        f"<h2>Records</h2>{_records(story['records'])}",
    )


def period_page(begin: str, end: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the page of the audit log's records of begin <= time < end."""
    return _page(
        "Audit log",
        f"<p>{escape(begin)} to {escape(end)} (not included), {len(records)} records</p>"
        f"{_records(records)}",
    )


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>\n"
    )


def _records(records: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{record['audit_id']}</td><td>{escape(record['at'][:23])}</td>"
        f"<td>{escape(record['subject'])}</td><td>{escape(record['actor'])}</td>"
        f"<td>{escape(record['action'])}</td><td>{escape(record['says'])}<br>"
        f"<code>{escape(json.dumps(record['detail'], sort_keys=True))}<br>{record['hash']}</code>"
        f"{_fault(record['fault'])}</td></tr>"
        for record in records
    )
    names = ("#", "Time (UTC)", "Subject", "Actor", "Action", "What, and the record's hash")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<table><tr>{head}</tr>{rows}</table>"


def _fault(fault: str) -> str:
    return f' <span class="wrong">NOT GENUINE: {escape(fault)}</span>' if fault else ""
