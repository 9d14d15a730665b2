"""API keys that a customer makes."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from api.schemas.common import Input, Output
from domain.api_keys import LONGEST_LABEL, MAX_NETWORKS, network_of

ScopeText = Literal["read", "trade", "withdraw"]


def _public_key(text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not the base64 of 32 bytes") from error
    if len(raw) != 32:
        raise ValueError("not the base64 of 32 bytes")
    return text


def _network(text: str) -> str:
    found = network_of(text)
    if found is None:
        raise ValueError("not an address, and not a network by its first address (10.0.0.0/8)")
    return str(found)


def _different(texts: list[str]) -> list[str]:
    if len(set(texts)) != len(texts):
        raise ValueError("something is named twice")
    return texts


LabelText = Annotated[
    str,
    StringConstraints(
        strict=True, min_length=1, max_length=LONGEST_LABEL, pattern=r"^[ -~]*[!-~][ -~]*$"
    ),
]
PublicKeyText = Annotated[
    str,
    StringConstraints(strict=True, min_length=44, max_length=44, pattern=r"^[A-Za-z0-9+/]{43}=$"),
    AfterValidator(_public_key),
]
NetworkText = Annotated[
    str, StringConstraints(strict=True, min_length=2, max_length=64), AfterValidator(_network)
]


class KeyIn(Input):
    """A key to be made. Without a public key it is one of HMAC-SHA256, whose secret we make."""

    label: LabelText = Field(
        description="What you call it, in ASCII; no other key of yours has it.", examples=["bot 1"]
    )
    scopes: Annotated[
        list[ScopeText], AfterValidator(_different), Field(min_length=1, max_length=3)
    ] = Field(examples=[["read", "trade"]])
    public_key: PublicKeyText | None = Field(
        None,
        description="Base64 of the 32 bytes of your Ed25519 public key; then there is no secret.",
        examples=["11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
    )
    networks: Annotated[
        list[NetworkText], AfterValidator(_different), Field(max_length=MAX_NETWORKS)
    ] = Field(
        [],
        description="Addresses and networks (IPv4, IPv6) it may be used from; none is anywhere.",
        examples=[["192.0.2.7", "2001:db8::/48"]],
    )
    expires_us: Annotated[int, Field(gt=0, lt=2**53)] | None = Field(
        None, description="When it ends, in microseconds since 1970; without it, never."
    )


class KeyOut(Output):
    """A key of yours that is not revoked; its secret is told once, when it is made."""

    key_id: str = Field(description="Its id, which goes into `RIALTO-KEY`.")
    label: str = Field(description='What you call it; "" if it was made for you.')
    algorithm: Literal["hmac-sha256", "ed25519"]
    scopes: list[str]
    networks: list[str] = Field(description="Where it may be used from; none is anywhere.")
    expires_us: int | None = Field(description="When it ends, in microseconds since 1970.")
    created_us: int
    is_this: bool = Field(description="Whether this request was signed by it.")


class MadeKeyOut(KeyOut):
    """A new key."""

    secret: str | None = Field(
        description="What signatures of HMAC-SHA256 are made with. It is never told again."
    )


class KeyList(Output):
    """Your keys that are not revoked, oldest first; at most 30."""

    keys: list[KeyOut]
