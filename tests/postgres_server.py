"""A PostgreSQL server of the tests' own, from the binaries that a distribution installs.

It is started once for a session of tests, listens at a Unix socket in its own folder and at a free
port of 127.0.0.1, and ends with the process that started it. Root cannot run it: it then runs as
the user `postgres`.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from imil.store import Store

USER, PASSWORD = "imil", "p:w/d@%1"  # each letter has a meaning in a URL
QUOTED = "p%3Aw%2Fd%40%251"
SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 100
fsync = {fsync}
shared_buffers = 16MB
log_min_messages = fatal
"""


def find_binaries():
    """The folder of `initdb` and `pg_ctl`, or None."""
    named = shutil.which("initdb")
    folders = [Path(named).resolve().parent] if named else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in folders if (one / "pg_ctl").exists()), None)


class Server:
    """A server in a folder; `start`, `stop` and `kill` end and begin its processes."""

    def __init__(self, binaries, *, fsync=False):
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="imil-pg-"))
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.folder.chmod(0o755)
        self.port = _free_port()
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._data = ["-D", str(self.folder / "data")]
        self._run("initdb", *self._data, "-U", USER, "--no-sync",
                  "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256",
                  f"--pwfile={password}")  # fmt: skip
        password.unlink()
        text = SETTINGS.format(fsync="on" if fsync else "off")
        text += f"port = {self.port}\nunix_socket_directories = '{self.folder}'\n"
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(text)
        self._template = None
        # ends the server when this process has ended, however that came
        words = shlex.join(self._words("pg_ctl", *self._data, "-m", "immediate", "stop"))
        self._guard = subprocess.Popen(
            ["sh", "-c", f"read _; {words}; rm -rf {shlex.quote(str(self.folder))}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", start_new_session=True,
        )  # fmt: skip
        self.start()

    def start(self):
        """Start it, and wait until it answers."""
        log = str(self.folder / "log")
        self._run("pg_ctl", *self._data, "-w", "-t", "300", "-l", log, "start")

    def stop(self, mode="fast"):
        """End it; `immediate` is as a crash."""
        self._run("pg_ctl", *self._data, "-w", "-m", mode, "stop")

    def answers(self):
        """Whether it takes connections."""
        try:
            self.connection().close()
        except psycopg.OperationalError:
            return False
        return True

    def remove(self):
        """End it and delete its folder."""
        self._guard.stdin.close()
        self._guard.wait()

    def connection(self, database="postgres"):
        """A connection as the owner of everything, in which each statement is a transaction."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database,
            autocommit=True,
        )  # fmt: skip

    def new_database(self):
        """The address of an empty database, with the password."""
        name = f"test_{uuid4().hex[:12]}"
        with closing(self.connection()) as db:
            db.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def new_store(self):
        """The address of a database with a store that has no run; made once and copied."""
        if self._template is None:
            self._template = self.new_database()
            Store(self._template).close()
        name = f"test_{uuid4().hex[:12]}"
        with closing(self.connection()) as db:
            db.execute(f"CREATE DATABASE {name} TEMPLATE {self._template.rpartition('/')[2]}")
        return self.url(name)

    def drop(self, url):
        """Delete a database, also where somebody is connected to it."""
        with closing(self.connection()) as db:
            db.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def url(self, database, password=QUOTED):
        """The address of a database."""
        return f"postgresql+psycopg://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def _words(self, name, *words):
        """The command line, for the user that may run the server."""
        command = [str(self.binaries / name), *words]
        if self.user:
            command = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}",
                       "--init-groups", *command]  # fmt: skip
        return command

    def _run(self, name, *words):
        command = self._words(name, *words)
        # not a pipe: the server that pg_ctl leaves behind would hold it open
        with (self.folder / f"{name}.out").open("w+") as out:
            code = subprocess.run(command, stdout=out, stderr=out, cwd="/").returncode
            out.seek(0)
            assert code == 0, f"{name}: {out.read()}"


@contextmanager
def running_server(**options):
    """A server, or a test that is skipped where there are no binaries; a failure in CI."""
    binaries = find_binaries()
    if binaries is None:
        reason = "needs PostgreSQL's initdb and pg_ctl, in PATH or /usr/lib/postgresql/*/bin"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    server = Server(binaries, **options)
    try:
        yield server
    finally:
        server.remove()


def _free_port():
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
