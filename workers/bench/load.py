"""The load's process: `python -m workers.bench.load PLAN`; it says READY, waits for a line, runs.

It drives the engine and, by turns, the control with the same flow, in C++ and without the
interpreter's lock; this process does nothing else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

from infra.engine_frames import encode_hello
from infra.engine_roles import Role
from workers.bench.native import native

READY = b"ready\n"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send where. `rate` 0 is a closed loop with `window` commands in flight."""

    engine_socket: str
    engine_hello_hex: str
    control_socket: str
    scenario: str
    seed: int
    run: int
    rounds: int
    seconds: float  # on either side, over all rounds
    rate: float
    window: int
    frame: int
    priority: str  # "high": the client goes before others, as far as the system lets it

    def text(self) -> str:
        """Return the plan for another process."""
        return json.dumps(asdict(self))


def _run(client: Any, plan: Plan) -> None:
    seconds = plan.seconds / plan.rounds
    if plan.rate:
        client.run_open(plan.rate, seconds)
    else:
        client.run_window(seconds, plan.window, plan.frame)


def drive(plan: Plan) -> dict[str, Any]:
    """Open the books, wait for the word, run the plan; a wrong answer is a `RuntimeError`."""
    module = native()
    hurried = module.hurry_this_thread(answers=False) if plan.priority == "high" else "normal"
    flow = module.LoadFlow(plan.scenario, plan.seed, plan.run)
    hello = bytes.fromhex(plan.engine_hello_hex)
    engine = module.LoadClient(plan.engine_socket, hello, flow, announce=False)
    control = module.LoadClient(
        plan.control_socket, encode_hello(Role.GATEWAY, "", 0), flow, announce=True
    )
    engine.open_book()
    control.open_book()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    sys.stdin.readline()
    rounds = []
    for _ in range(plan.rounds):
        _run(engine, plan)
        _run(control, plan)
        rounds.append({"engine": engine.last_run(), "control": control.last_run()})
    return {
        "engine": engine.report(),
        "control": control.report(),
        "rounds": rounds,
        "priority": hurried,
    }


def main() -> None:
    """Run the plan, print what came out; exit code 1 with the reason on failure."""
    plan = Plan(**json.loads(sys.argv[1]))
    try:
        report = drive(plan)
    except RuntimeError as error:
        print(f"{plan.scenario}: {error}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
