"""The signer's own word on the pause: a file that only enough signatures overcome.

It stays where it is when payments go on, with the signatures, so that nobody can take it away
unseen; the next pause takes its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from domain.approval import Officer
from domain.payment_pause import PaymentPause, is_resumed
from infra.private_files import replace_private
from infra.wallet.officers import verify_ed25519
from infra.wallet.signer_refusal import Refused, SignerRefusal


@dataclass(frozen=True, slots=True)
class PauseOnFile:
    """A pause with the signatures to resume, {officer: hex}."""

    pause: PaymentPause
    signatures: Mapping[str, str] = field(default_factory=dict)


def pause_path(data_dir: Path) -> Path:
    """Return the signer's file."""
    return data_dir / "signer" / "pause.json"


def write_pause(path: Path, found: PauseOnFile) -> None:
    """Write it in one step; it counts from the signer's next order on."""
    fields = {"pause": asdict(found.pause), "signatures": dict(found.signatures)}
    replace_private(path, json.dumps(fields, indent=1) + "\n")


def read_pause(path: Path) -> PauseOnFile | None:
    """Return what the file says; None without one. `ValueError` for what cannot be read."""
    try:
        fields = json.loads(path.read_text())
        signatures = {str(name): str(text) for name, text in fields["signatures"].items()}
        return PauseOnFile(PaymentPause(**fields["pause"]), signatures)
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error


def pause_refusal(path: Path, officers: Mapping[str, Officer]) -> Refused | None:
    """Return why nothing is signed now; a file that cannot be read stops everything, too."""
    try:
        found = read_pause(path)
    except (ValueError, OSError) as error:
        return Refused(SignerRefusal.PAYMENTS_PAUSED, f"the pause's file cannot be read: {error}")
    if found is None or is_resumed(found.pause, found.signatures, officers, verify_ed25519):
        return None
    return Refused(SignerRefusal.PAYMENTS_PAUSED, found.pause.told)
