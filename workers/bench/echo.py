"""The control's process: `python -m workers.bench.echo SOCKET FOLDER POLICY PRIORITY`."""

from __future__ import annotations

import json
import sys

from workers.bench.native import native


def main() -> None:
    """Serve one connection; print what came by."""
    socket_path, folder, policy, priority = sys.argv[1:]
    if priority == "high":  # as the engine's loop has it
        native().hurry_this_thread(answers=True)
    counts = native().serve_echo(socket_path, folder, policy == "fsync")
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
