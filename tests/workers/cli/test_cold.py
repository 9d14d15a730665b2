"""`rialto cold` on a machine without network: no server, no database, no socket."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from domain.cold_refill import RefillPayment, RefillRequest
from infra.private_files import write_private
from infra.wallet.cold_wallet import load_cold_policy, read_signed
from workers.__main__ import build

HOT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a passphrase, on a machine where no socket can be opened."""
    write_private(tmp_path / "words", "words that nobody guesses\n")

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "__init__", no_network)
    return tmp_path


def _cold(folder: Path, *words: str) -> Result:
    common = ["--data", str(folder), "--passphrase-file", str(folder / "words")]
    return CliRunner().invoke(build(), ["cold", *words, *common])


def _request(folder: Path, receiver: str = HOT) -> Path:
    payment = RefillPayment("ETH", None, 18, 5 * 10**18, 21_000)
    sender = load_cold_policy(folder).address
    request = RefillRequest(31337, sender, receiver, 4, 3 * 10**9, 10**9, (payment,))
    path = folder / "refill.json"
    path.write_text(request.text())
    return path


def test_request_is_shown_and_signed_without_network(folder: Path) -> None:
    """What is signed is said in words; the file that leaves has it, and no secret."""
    made = _cold(folder, "init", "--hot", HOT, "--chain-id", "31337")
    assert made.exit_code == 0, made.output
    assert load_cold_policy(folder).address in made.stdout
    path = _request(folder)
    done = _cold(folder, "sign", str(path), "--yes")
    assert done.exit_code == 0, done.output
    for words in (f"to {HOT}", "5 ETH", "nonce 4", "fee of 0.000063"):
        assert words in done.stdout
    request, raws = read_signed((folder / "refill.json.signed").read_text())
    assert (request.receiver, len(raws)) == (HOT, 1)


def test_nothing_is_signed_without_agreement(folder: Path) -> None:
    """No terminal and no --yes is no agreement; an earlier answer is not overwritten."""
    _cold(folder, "init", "--hot", HOT, "--chain-id", "31337")
    path = _request(folder)
    assert _cold(folder, "sign", str(path)).exit_code == 2
    signed = folder / "refill.json.signed"
    assert not signed.exists()
    assert _cold(folder, "sign", str(path), "--yes").exit_code == 0
    before = signed.read_text()
    assert _cold(folder, "sign", str(path), "--yes").exit_code == 2
    assert signed.read_text() == before


def test_refusals_are_named(folder: Path) -> None:
    """No wallet, another receiver, another passphrase, no such file: exit code 1 and why."""
    other = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
    absent = _cold(folder, "sign", "missing.json", "--yes")
    assert (absent.exit_code, "rialto cold init" in absent.stderr) == (1, True)
    _cold(folder, "init", "--hot", HOT, "--chain-id", "31337")
    again = _cold(folder, "init", "--hot", HOT, "--chain-id", "31337")
    assert (again.exit_code, "never replaced" in again.stderr) == (1, True)
    absent = _cold(folder, "sign", "missing.json", "--yes")
    assert (absent.exit_code, "missing.json" in absent.stderr) == (1, True)
    theirs = _cold(folder, "sign", str(_request(folder, other)), "--yes")
    assert (theirs.exit_code, "another_receiver" in theirs.stderr) == (1, True)
    (folder / "words").write_text("words that somebody guessed\n")
    wrong = _cold(folder, "sign", str(_request(folder)), "--yes")
    assert (wrong.exit_code, "wrong_passphrase" in wrong.stderr) == (1, True)


def test_json_is_alone_on_standard_output(folder: Path) -> None:
    """The words for people go to the other stream."""
    made = _cold(folder, "init", "--hot", HOT, "--chain-id", "31337", "--json")
    assert json.loads(made.stdout) == {"address": load_cold_policy(folder).address}
    done = _cold(folder, "sign", str(_request(folder)), "--yes", "--json")
    signed = str(folder / "refill.json.signed")
    assert json.loads(done.stdout) == {"signed_file": signed, "transactions": 1}
