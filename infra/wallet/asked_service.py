"""A service of others that is asked by `POST` of JSON and answers one of a few words."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from domain.screening import ScreeningResult, Verdict
from infra.tls import trusted

_SECONDS = 10.0
_AWAY_SECONDS = 300.0  # whoever waits for an answer asks more often
AWAY = "does not answer"
NO_ADDRESS = "no address"
_NAME = re.compile(r"[A-Za-z0-9._:-]{0,64}")  # operators see it, so nothing personal fits


class ScreeningAwayError(ConnectionError):
    """No answer, or one that is none."""


class AskedService:
    """One address; it remembers whether its last question had an answer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._away_since: float | None = None  # monotonic time of the last question in vain

    @property
    def is_away(self) -> bool:
        """Return whether the last question had no answer, and was asked lately."""
        since = self._away_since
        return since is not None and time.monotonic() - since < _AWAY_SECONDS

    @property
    def told(self) -> str:
        """Return where it is, for people: without what an address may carry of secrets."""
        return origin(self._url) + (f" {AWAY}" if self.is_away else "")

    async def ask(
        self, question: Mapping[str, Any], field: str, words: Mapping[str, Verdict]
    ) -> ScreeningResult:
        """Return what the word in the answer's `field` means, or raise `ScreeningAwayError`.

        Redirects are not followed, no proxy of the environment is used, and what is no plain
        answer is none.
        """
        try:
            found = await self._answer(question)
            result = self._parsed(found, field, words)
        except ScreeningAwayError:
            self._away_since = time.monotonic()
            raise
        self._away_since = None
        return result

    async def _answer(self, question: Mapping[str, Any]) -> Any:
        try:
            known = trusted(trust_env=False)
            async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, verify=known) as client:
                answer = await client.post(self._url, json=question)
                answer.raise_for_status()
                return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            why = type(error).__name__  # its words repeat the address, with what that carries
            raise ScreeningAwayError(f"{origin(self._url)}: {why}") from error

    def _parsed(self, found: Any, field: str, words: Mapping[str, Verdict]) -> ScreeningResult:
        place, fields = origin(self._url), (field, "rule", "version")
        if not isinstance(found, dict) or not all(isinstance(found.get(f), str) for f in fields):
            raise ScreeningAwayError(f"{place}: the answer is not {field}, rule and version")
        word, rule, version = (found[name] for name in fields)
        if word not in words:
            raise ScreeningAwayError(f"{place}: {word[:20]!r} is no {field}")
        if not (_NAME.fullmatch(rule) and _NAME.fullmatch(version)):
            raise ScreeningAwayError(f"{place}: rule and version are not short names")
        return ScreeningResult(words[word], rule, version)


def origin(url: str) -> str:
    """Return scheme, host and port of an address; "no address" where it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return NO_ADDRESS
    if parts.scheme not in ("http", "https") or not host:
        return NO_ADDRESS
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")
