"""Files for their owner's eyes only."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Create `path` with mode 0600 and `text`, on disk before this returns; never overwrites."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def replace_private(path: Path, text: str) -> None:
    """Put `text` in the place of `path` in one step, on disk, for the folder's owner alone."""
    fresh = path.with_name(path.name + ".writing")
    fresh.unlink(missing_ok=True)
    write_private(fresh, text)
    give_to_folders_owner(fresh)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def give_to_folders_owner(path: Path) -> None:
    """Let a file that root has written belong to whom its folder belongs."""
    owner = path.parent.stat()
    if os.geteuid() == 0 and path.stat().st_uid != owner.st_uid:
        os.chown(path, owner.st_uid, owner.st_gid)
