"""Listen keys: names of an account's stream, given out for an API key without a signature.

Who has the name hears the account and can do nothing; it ends by itself after an hour unless it is
kept alive, and with its API key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.binance.call import Call
from api.binance.errors import Refusal
from domain.customer import ListenKey


def no_such_key() -> Refusal:
    """Return the refusal of a listen key that does not exist, or is another API key's."""
    return Refusal(-1125, "This listenKey does not exist.")


@dataclass(frozen=True, slots=True)
class ListenKeyRoutes:
    """The handlers for one kind of markets: "spot" or "futures"."""

    market: str

    async def create(self, call: Call) -> dict[str, Any]:
        """Return the API key's listen key, a new one if it has none; it lives an hour from now."""
        keys = call.services.listen_keys
        found = await keys.of(call.caller.key_id, self.market)
        if found is None or not await keys.extend(found):
            found = await keys.issue(call.caller.key_id, self.market)
        return {"listenKey": found.token}

    async def extend(self, call: Call) -> dict[str, Any]:
        """Let a listen key live an hour from now."""
        found = await self._named(call)
        if not await call.services.listen_keys.extend(found):
            raise no_such_key()
        return {"listenKey": found.token} if self.market == "futures" else {}

    async def end(self, call: Call) -> dict[str, Any]:
        """End a listen key, and with it its streams."""
        await call.services.listen_keys.end(await self._named(call))
        return {}

    async def _named(self, call: Call) -> ListenKey:
        """Return the listen key that the request names; of futures the API key's, unnamed."""
        keys, key_id = call.services.listen_keys, call.caller.key_id
        token = call.parameters.text("listenKey")
        if token is None and self.market == "spot":
            token = call.parameters.need("listenKey")
        found = await (keys.of(key_id, self.market) if token is None else keys.find(token))
        if found is None or (found.key_id, found.market) != (key_id, self.market):
            raise no_such_key()
        return found
