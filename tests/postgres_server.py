"""A real Postgres server for the tests, on loopback, in a folder of its own; one for each process of the tests."""

import os
import pwd
import shutil
import socket
import subprocess
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import psycopg
import pytest

PASSWORD = "a-pass-word-of-the-tests"
_SETTINGS = (
    "fsync=off",  # the machine does not fail while the tests run
    "unix_socket_directories=",
    "shared_buffers=16MB",
    "max_connections=60",
    "wal_recycle=off",
    "min_wal_size=32MB",
    "max_wal_size=32MB",
    "autovacuum=off",
)
_NAMES = count()


class PostgresServer:
    """A running server.

    Args:
        data: Its data directory.
        port: Where it listens.
        binaries: The folder of its programs.
        listens: Its addresses.
    """

    def __init__(self, data, port, binaries, listens):
        self.data, self.port, self.binaries, self.listens = data, port, binaries, listens

    def url(self, schema=None, *, user="owner", database="test", password=PASSWORD):
        """Give the address of a store, of one that nobody has used where no schema is named."""
        schema = schema or f"store_{next(_NAMES)}"
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}?schema={schema}"

    def run(self, *statements, user="postgres", database="test"):
        """Run statements as a superuser, or another, each by itself; give the rows of the last."""
        address = f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def restart(self):
        """Stop it as fast as it can, and start it again."""
        self.stop()
        self.start()

    def start(self):
        """Start it and wait until it answers."""
        settings = " ".join(
            f"-c {setting}" for setting in (*_SETTINGS, f"listen_addresses={self.listens}", f"port={self.port}")
        )
        log = self.data.with_name("log")
        _as_nobody_special([self.binaries / "pg_ctl", "-D", self.data, "-l", log, "-w", "-o", settings, "start"])

    def stop(self):
        """Stop it."""
        _as_nobody_special([self.binaries / "pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop"])


@contextmanager
def postgres_server(*, also="", network=""):
    """Start a server that is gone in the end; skip the test where there is none to start.

    Args:
        also: A further address to listen at.
        network: Whom it lets in there.
    """
    binaries = _binaries()
    if binaries is None:
        pytest.skip("there is no Postgres server on this machine: apt install postgresql")
    home = Path(mkdtemp(prefix="personaplug-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(home, _other().pw_uid, _other().pw_gid)
    listens = ",".join(filter(None, ("127.0.0.1", also)))
    server = PostgresServer(home / "data", _free_port(), binaries, listens)
    try:
        _make(server)
        if network:
            with (server.data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {network} scram-sha-256\n")
        server.start()
        try:
            server.run(f"CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'", database="postgres")
            server.run("CREATE DATABASE test OWNER owner TEMPLATE template0 ENCODING 'UTF8'", database="postgres")
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _make(server):
    word = server.data.with_name("password")
    word.write_text(PASSWORD)
    if os.geteuid() == 0:
        shutil.chown(word, _other().pw_uid)
    made = [
        "-D",
        server.data,
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        "--pwfile",
        word,
        "-E",
        "UTF8",
        "--locale=C",
        "-N",
    ]
    _as_nobody_special([server.binaries / "initdb", *made])


def _binaries():
    """Find the programs: in PATH, else where Debian puts them, the latest version first."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3].zfill(4))
    return places[-1].parent if places else None


def _as_nobody_special(command):
    """Run a program, as another user where this one is root: Postgres refuses to be started by root."""
    as_other = {"user": _other().pw_uid, "group": _other().pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", check=False, **as_other)
    assert done.returncode == 0, done.stdout.decode(errors="replace")


def _other():
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    pytest.skip("Postgres does not run as root, and this machine has no other user for it")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
