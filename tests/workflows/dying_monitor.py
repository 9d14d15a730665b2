"""A real risk monitor that kills itself (-9) at one boundary of one account's liquidation.

`RIALTO_TEST_DIES` is "ACCOUNT before|after NUMBER": around the numbered command that concerns the
account, counted from its freeze on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from workers import risk_monitor
from workers.risk_door import EngineRiskDoor

_account, _side, _number = os.environ["RIALTO_TEST_DIES"].split()
_asked = 0


def _counts(commands: Sequence[Any]) -> bool:
    """Count a request that concerns the account; return whether it is the one."""
    global _asked
    if not any(getattr(command, "account_id", 0) == int(_account) for command in commands):
        return False
    _asked += 1
    return _asked == int(_number)


def _dying(method: Any) -> Any:
    async def call(self: EngineRiskDoor, asked: Any) -> Any:
        here = _counts(asked if isinstance(asked, list) else [asked])
        if here and _side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await method(self, asked)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return call


EngineRiskDoor.submit = _dying(EngineRiskDoor.submit)  # type: ignore[method-assign]
EngineRiskDoor.submit_many = _dying(EngineRiskDoor.submit_many)  # type: ignore[method-assign]
EngineRiskDoor.freeze = _dying(EngineRiskDoor.freeze)  # type: ignore[method-assign]

main = risk_monitor.main  # what processes are started by
