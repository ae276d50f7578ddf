"""A PostgreSQL and a Redis of a test's own, to be stopped, killed and emptied; no other is touched."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.helpers.waiting import ROOT, free_port, wait_until


def migrate(url: str) -> None:
    """Make our tables in the database at the address. Raises CalledProcessError."""
    variables = {"ENV_FILE": os.devnull, "DEBUG": "1", "SECRET_KEY": "x", "DATABASE_URL": url, "REDIS_URL": ""}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"],
        cwd=ROOT, env={"PATH": os.environ["PATH"], **variables}, check=True,
    )  # fmt: skip


class Server:
    """A server process in a folder and on a port of its own. Raises where its program is not there."""

    fast = signal.SIGTERM  # stops it at once, without loss

    def __init__(self):
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"kinoteka-{type(self).__name__.lower()}-"))
        self.owner = None
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self) -> list[object]:
        raise NotImplementedError

    def ask(self) -> object:
        """Do the least that shows it answers; raises psycopg's or Redis' errors."""
        raise NotImplementedError

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, user=self.owner, start_new_session=True
            )
        wait_until(self.answers, 60, (self.folder / "log").read_text)

    def stop(self, signum=None):
        if self.process.poll() is None:
            self.process.send_signal(signum or self.fast)
        self.process.wait(60)

    def restart(self, away=0.0, signum=None):
        """Stop it, leave it away for so many seconds, start it again."""
        self.stop(signum)
        time.sleep(away)
        self.start()

    def answers(self):
        """Whether it does its work. Raises where it has ended."""
        assert self.process.poll() is None, "it has ended"
        try:
            self.ask()
        except (psycopg.OperationalError, redis.RedisError):
            return False
        return True


class Postgres(Server):
    """A new, empty PostgreSQL; a crash is restart(signum=Postgres.crash)."""

    fast, crash = signal.SIGINT, signal.SIGQUIT

    def __init__(self):
        super().__init__()
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.programs = found[-1] if found else Path(shutil.which("initdb") or "initdb").parent
        if os.getuid() == 0:  # as root it refuses to run
            self.owner = next(user.pw_name for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
            shutil.chown(self.folder, self.owner)
        self.user = "kinoteka"
        subprocess.run(
            [self.programs / "initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
            + [f"--username={self.user}", "--pgdata=data"],
            cwd=self.folder, user=self.owner, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.url = f"postgres://{self.user}@127.0.0.1:{self.port}/postgres"

    def command(self):
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": 300,
            "fsync": "off",  # no test takes the machine's power away
        }
        return [self.programs / "postgres", "-D", "data", *(f"--{name}={value}" for name, value in options.items())]

    def migrate(self):
        """Make our tables in its database `postgres`."""
        migrate(self.url)

    def ask(self):
        psycopg.connect(self.url, connect_timeout=5).close()


class PgBouncer(Server):
    """A PgBouncer in transaction mode before the PostgreSQL of a database's settings, with two connections to it."""

    def __init__(self, database: dict[str, Any]) -> None:
        super().__init__()
        self.database = database
        self.user = database["USER"] or "postgres"
        self.url = f"postgres://{self.user}@127.0.0.1:{self.port}/{database['NAME']}"
        password = f" password={database['PASSWORD']}" if database["PASSWORD"] else ""
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": self.folder / "users",
            "pool_mode": "transaction",
            "default_pool_size": 2,
            "max_client_conn": 100,
        }
        place = f"host={database['HOST'] or '127.0.0.1'} port={database['PORT'] or 5432}"
        lines = ["[databases]", f"* = {place}{password}", "[pgbouncer]", *(f"{n} = {v}" for n, v in options.items())]
        (self.folder / "settings.ini").write_text("\n".join(lines))
        (self.folder / "users").write_text(f'"{self.user}" ""\n')
        if os.getuid() == 0:  # as root it refuses to run
            self.owner = "nobody"
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, self.owner)

    def command(self) -> list[Any]:
        return [shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin"), self.folder / "settings.ini"]

    def ask(self) -> None:
        psycopg.connect(self.url, connect_timeout=5).close()


class Redis(Server):
    """A new, empty Redis that keeps nothing, as compose.yaml has it."""

    def __init__(self):
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, socket_timeout=10)

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def ask(self):
        self.client.ping()
