"""The sandbox for every test, and real processes of ours that talk to it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.management.commands import flush
from django.db import connection, connections, transaction
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from config import best_effort
from config.bot.engine import stop_engine
from config.database import redis_client
from config.models import Lease
from sandbox.server import Sandbox
from tests.helpers.clock import Clock
from tests.helpers.waiting import ROOT, wait_until


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes of ours: such tests run serially, in a step of their own.

    Whatever starts one takes the fixture `environment`, or a server of its own.
    """
    for item in items:
        if {"environment", "servers"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("processes")


@pytest.fixture(autouse=True, scope="session")
def emptied_by_delete() -> None:
    """After a test PostgreSQL's tables are emptied by DELETE: TRUNCATE takes 0.85 s for all of ours, DELETE 0.015 s.

    Django's foreign keys are checked at the end of the transaction, so the order does not matter.
    """
    if connection.vendor == "postgresql":
        type(connection.ops).sql_flush = lambda ops, style, tables, **_options: [  # type: ignore[method-assign]
            f"DELETE FROM {ops.quote_name(table)}" for table in tables
        ]


@pytest.fixture(autouse=True, scope="session")
def refilled_by_rows() -> None:
    """After a test the content types, permissions and schedules that `migrate` makes come back as plain rows.

    Django has every app make them anew otherwise, which is a quarter of the time of all tests.
    """
    make_anew = flush.emit_post_migrate_signal  # type: ignore[attr-defined]  # missing in the stubs
    rows: dict[str, list[tuple[Any, ...]]] = {}  # by table, as they are after the first time

    def refill(*arguments: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            if not rows:
                make_anew(*arguments)
                for table in connection.introspection.django_table_names(only_existing=True):
                    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
                    if found := cursor.fetchall():
                        rows[table] = found
                return
            for table, made in rows.items():
                values = ", ".join(["%s"] * len(made[0]))
                cursor.executemany(f"INSERT INTO {connection.ops.quote_name(table)} VALUES ({values})", made)

    flush.emit_post_migrate_signal = refill  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def nothing_counted_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No heartbeat or count of another test waits to be written."""
    from config.bot import drop_notice
    from config.monitoring import heartbeats, metrics
    from movies import vocabulary
    from users.models import language_choices
    from users.visits import visits

    visits.written.clear()
    visits.forget_bans()
    vocabulary.cached.clear()
    language_choices.by_user.clear()
    for pending in (metrics._counts, heartbeats._pending, heartbeats._running, drop_notice._notified_at):
        pending.clear()
    for module in (metrics, heartbeats):
        monkeypatch.setattr(module, "_pruned_at", 0.0)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """A call to Telegram that is made once more is made at once."""
    from config.bot import client

    monkeypatch.setattr(client, "RETRY_DELAYS_SECONDS", (0.0,) * 5)


@pytest.fixture(autouse=True)
def done_at_once(monkeypatch):
    """An action over many rows is done within its request however slow the machine is."""
    from config.admin import bulk

    monkeypatch.setattr(bulk, "INLINE_SECONDS", 60.0)


@pytest.fixture
def clock(monkeypatch):
    """clock.jump(-3600): it is an hour earlier from now on, here and at the database's server."""
    return Clock(monkeypatch)


@pytest.fixture(autouse=True)
def redis_has_not_failed(monkeypatch):
    """No test finds Redis left alone because it failed another."""
    monkeypatch.setattr(best_effort, "_redis_paused_until", 0.0)
    best_effort._logged_at.clear()


@pytest.fixture(autouse=True)
def empty_redis():
    """No test finds in Redis what another left there."""
    if django_settings.REDIS_URL:
        redis_client().flushdb()


@pytest.fixture
def sandbox(settings, monkeypatch, transactional_db):
    """A Telegram and a TMDb of this test alone; settings point at them."""
    from config.bot import client
    from config.bot.router import bot

    for name in ("default", "local", "cards"):
        caches[name].clear()  # no table of Django's, so no test's end empties it

    with Sandbox() as sandbox:
        settings.TELEGRAM_API_URL = sandbox.telegram_api_url
        settings.TELEGRAM_BOT_TOKEN = sandbox.telegram_token
        settings.TELEGRAM_POSTER_CHANNELS = [sandbox.channel]
        settings.TELEGRAM_WEB_URL = "https://t.me"
        settings.TMDB_API_URL = sandbox.tmdb_api_url
        settings.TMDB_IMAGE_URL = sandbox.tmdb_image_url
        settings.TMDB_WEB_URL = sandbox.tmdb_web_url
        settings.TMDB_API_KEY = sandbox.tmdb_key
        monkeypatch.setattr(bot, "token", sandbox.telegram_token)
        client.patch_telebot()
        yield sandbox
        stop_engine(10)


@pytest.fixture
def environment(sandbox, tmp_path, transactional_db):
    """The variables with which a real process of ours meets the sandbox and this test's database."""
    database = connections["default"].settings_dict
    if database["ENGINE"].endswith("sqlite3"):
        url = f"sqlite:///{database['NAME']}"
    else:
        url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
        "ENV_FILE": os.devnull,
        "DEBUG": "1",
        "SECRET_KEY": django_settings.SECRET_KEY,
        "DATABASE_URL": url,
        "PGPASSWORD": os.environ.get("PGPASSWORD", ""),
        "REDIS_URL": django_settings.REDIS_URL,
        "TELEGRAM_BOT_TOKEN": sandbox.telegram_token,
        "TELEGRAM_API_URL": sandbox.telegram_api_url,
        "TELEGRAM_WEB_URL": sandbox.url,
        "TELEGRAM_POSTER_CHANNELS": str(sandbox.channel),
        "TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE": "6000",
        "TMDB_API_KEY": sandbox.tmdb_key,
        "TMDB_API_URL": sandbox.tmdb_api_url,
        "TMDB_IMAGE_URL": sandbox.tmdb_image_url,
        "TMDB_WEB_URL": sandbox.tmdb_web_url,
        "TMDB_REQUESTS_PER_SECOND": "0",
        "POSTER_DIR": str(tmp_path / "posters"),
        "SANDBOX": "0",
    }


class Process:
    """A running command of ours, its output kept."""

    def __init__(self, arguments, environment):
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait_for_line(self, words, seconds=60):
        wait_until(lambda: words in self.output or self.process.poll() is not None, seconds, lambda: self.output)
        assert words in self.output, self.output

    def terminate(self, signum=signal.SIGTERM):
        """Signal the main process only, as an operator does, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.wait()

    def kill(self):
        """kill -9 for the process and all it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.wait()

    def wait(self, seconds=60):
        """The exit status, once all that it printed has been read; what it has left running may hold the pipe."""
        status = self.process.wait(seconds)
        self.reader.join(5)
        return status


@pytest.fixture
def start(environment):
    """start("runbot"): a real `manage.py` process against the sandbox; what still runs at the end is killed."""
    running = []

    def begin(*arguments, **variables):
        process = Process(["manage.py", *arguments], {**environment, **variables})
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()


def queued_jobs():
    """The jobs that wait, in order, as django-q2 packs them, be the queue in Redis or in the database."""
    if django_settings.REDIS_URL:
        packages = redis_client().lrange(f"django_q:{django_settings.Q_CLUSTER['name']}:q", 0, -1)
    else:
        packages = OrmQ.objects.order_by("id").values_list("payload", flat=True)
    return [SignedPackage.loads(package) for package in packages]


def queued():
    """The functions of the jobs that wait, in order."""
    return [job["func"] for job in queued_jobs()]


def leases_run_out():
    """What dead processes held is free again, as it is some time later."""
    Lease.objects.update(expires_at=0)


@pytest.fixture
def handle(sandbox):
    """handle(): let the bot answer, in this process, all that people have sent so far."""
    from config.bot.dispatch import handle_update
    from config.bot.polling import get_updates

    def all_updates():
        offset = None
        while updates := get_updates(offset, timeout=0):
            for update in updates:
                handle_update(update)
            offset = updates[-1]["update_id"] + 1
        if offset:
            get_updates(offset, timeout=0)

    return all_updates


@pytest.fixture
def anna(sandbox):
    """Who has not written to the bot yet; reads English."""
    return sandbox.telegram.person("Anna", language_code="en")


@pytest.fixture
def ask(anna, handle):
    """ask("/help"): the bot's answer in Anna's private chat."""

    def answer(text):
        asked = anna.send(text)
        handle()
        return anna.wait(after=asked)

    return answer


@pytest.fixture
def poster_dir(settings, tmp_path):
    """POSTER_DIR of this test alone; not made yet."""
    settings.POSTER_DIR = tmp_path / "posters"
    return settings.POSTER_DIR
