"""The folder that holds everything the running system keeps, and what follows from its path alone."""

import fcntl
import hashlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent

# Linux allows 107 bytes, macOS 103.
SOCKET_PATH_LIMIT = 103
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"
DATABASE_NAME = "lro"

# All that the system makes there: a folder named by mistake loses nothing else.
CONTENTS = (
    *("postgres", "postgres.new", "valkey", "files"),
    *("postgres.log", "valkey.log", "secret_key", "demo.json", "run.json"),
    *("start.lock", "up.lock", "use.lock"),
)


@dataclass(frozen=True)
class DataDirectory:
    """Where each thing lives, and the URLs of the embedded servers, known before any of them runs."""

    root: Path

    @classmethod
    def from_environment(cls) -> Self:
        """The folder named by `LRO_DATA_DIR`, else `.data` beside `manage.py`."""
        return cls(Path(os.environ.get("LRO_DATA_DIR") or BASE_DIR / ".data").resolve())

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def files(self) -> Path:
        return self.root / "files"

    @property
    def postgres_sockets(self) -> Path:
        return _socket_directory(self.postgres, POSTGRES_SOCKET)

    @property
    def valkey_sockets(self) -> Path:
        return _socket_directory(self.valkey, VALKEY_SOCKET)

    @property
    def database_url(self) -> str:
        return f"postgres://postgres@{quote(str(self.postgres_sockets), safe='')}/{DATABASE_NAME}"

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.valkey_sockets / VALKEY_SOCKET))}?db=0"

    def create(self) -> None:
        """Make the folders that are ours alone; PostgreSQL's is made when its server is prepared."""
        self.root.mkdir(parents=True, exist_ok=True)
        for private in (self.valkey, self.files):
            private.mkdir(mode=0o700, exist_ok=True)

    def secret_key(self) -> str:
        """The key kept in this folder, made at the first call of the first process that asks."""
        path = self.root / "secret_key"
        if not path.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            draft = self.root / f".secret_key.{os.getpid()}"
            write_private(draft, secrets.token_urlsafe(64))
            # A link is all or nothing: of two processes that start at once, one wins and both read its key.
            with suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        return path.read_text().strip()


def database_url(data: DataDirectory) -> str:
    """The database of one's own from `DATABASE_URL`, else the embedded one."""
    return os.environ.get("DATABASE_URL") or data.database_url


def redis_url(data: DataDirectory) -> str:
    """The Redis or Valkey of one's own from `REDIS_URL`, else the embedded one."""
    return os.environ.get("REDIS_URL") or data.redis_url


def broker_url(url: str) -> str:
    """The same server as `url`, in the form that Kombu reads."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step with a file that only its owner can read."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


class Lock:
    """A lock between processes that the system releases when its holder dies."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+")

    def share(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def take(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_take(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def sign(self) -> None:
        """Write the holder's process id, for the message that a second one prints."""
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def signature(self) -> str:
        self._file.seek(0)
        return self._file.read().strip() or "unknown"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


@contextmanager
def taken(path: Path) -> Iterator[None]:
    """Hold the lock at `path` alone."""
    with Lock(path) as lock:
        lock.take()
        yield


def _socket_directory(home: Path, socket_name: str) -> Path:
    path = str(home / socket_name)
    # PostgreSQL reads its directories as a list: a comma or a quote would break one in two.
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT and not set(path) & set(",\"'\\\n"):
        return home
    key = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return _short_temporary_directory() / f"lro-{key}"


def _short_temporary_directory() -> Path:
    # Not TMPDIR: it differs between shells, and two commands must find the same socket.
    common = Path("/tmp")
    return common if os.access(common, os.W_OK) else Path(tempfile.gettempdir())


def delete(data: DataDirectory) -> None:
    """Delete what the system made in the folder, unless it is running on it."""
    if not data.root.exists():
        sys.exit(f"Nothing to delete: there is no {data.root}.")
    with Lock(data.root / "use.lock") as use:
        if not use.try_take():
            sys.exit(f"A command is running on {data.root}: stop it first.")
        for path in (data.postgres_sockets, data.valkey_sockets, *(data.root / name for name in CONTENTS)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    with suppress(OSError):  # somebody keeps something else there
        data.root.rmdir()
    print(f"Deleted the data in {data.root}.")


if __name__ == "__main__":
    delete(DataDirectory.from_environment())
