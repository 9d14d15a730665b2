"""Signature check for validators: a pure function, so it may run inside a workflow."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` over `message` is the key's.

    The library's native part imports its exceptions when it first raises one. Inside the sandbox
    that import would load the native module a second time, which aborts the whole process: hence
    the passing through around the call, not only around the import.
    """
    with workflow.unsafe.imports_passed_through():
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
    return True
