"""`manage.py runall`, as a newcomer meets it."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from config.management.commands import runall
from config.settings import development_key
from tests.helpers.waiting import ROOT, free_port, wait_until

SERVICES = (
    "TELEGRAM_BOT_TOKEN",
    "TELEGRAM_API_URL",
    "TELEGRAM_POSTER_CHANNELS",
    "TMDB_API_KEY",
    "TMDB_API_URL",
    "TMDB_IMAGE_URL",
    "TMDB_WEB_URL",
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def newcomer(tmp_path):
    """The variables of a newcomer without a .env: two free ports, a database of this test, proxies in the shell."""
    return {
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3",
        "REDIS_URL": "",
        "SANDBOX": "",
        "SANDBOX_PORT": str(free_port()),
        "SANDBOX_DIR": str(tmp_path / "sandbox"),
        **dict.fromkeys(SERVICES, ""),
    }


def processes_of(mark):
    """Live processes that inherited this entry of the environment, whatever session they are in."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark.encode() in environment:
                found.append((entry.name, (entry / "cmdline").read_bytes().replace(b"\0", b" ")))
    return found


def known_films(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "new.sqlite3")) as database:
        return {number for (number,) in database.execute("SELECT id FROM movies")}


def test_one_command_starts_everything_and_ctrl_c_leaves_nothing_behind(start, newcomer, tmp_path):
    port, mark = free_port(), f"KINOTEKA_TEST_MARK=start-{os.getpid()}-{time.monotonic_ns()}"
    name, value = mark.split("=")
    everything = start("runall", "--port", str(port), **newcomer, **{name: value})
    everything.wait_for_line("Kinoteka is running", 60)
    chat = re.search(r"Chat\s+(\S+)", everything.output)[1]
    admin = re.search(r"Admin\s+(\S+)\s+(\S+) / (\S+)", everything.output)
    assert requests.get(chat, timeout=10).status_code == 200
    with requests.Session() as session:
        page = session.get(admin[1], timeout=10)
        form = {
            "username": admin[2],
            "password": admin[3],
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
            "next": "/admin/",
        }
        page = session.post(page.url, data=form, timeout=10)
        assert "/logout/" in page.text
    assert len(processes_of(mark)) >= 4
    wait_until(lambda: 603 in known_films(tmp_path), 60, lambda: everything.output)  # so "матрца" finds it at once
    everything.process.send_signal(signal.SIGINT)
    assert everything.wait(60) == 0
    wait_until(lambda: not processes_of(mark), 20, lambda: str(processes_of(mark)))
    assert "Traceback" not in everything.output


def test_a_start_that_is_killed_leaves_nothing_behind(start, newcomer):
    name, value = "KINOTEKA_TEST_MARK", f"killed-{os.getpid()}-{time.monotonic_ns()}"
    everything = start("runall", "--port", str(free_port()), **newcomer, **{name: value})
    everything.wait_for_line("Kinoteka is running", 60)
    everything.terminate(signal.SIGKILL)
    wait_until(lambda: not processes_of(f"{name}={value}"), 60, lambda: str(processes_of(f"{name}={value}")))


def test_what_does_not_end_in_time_is_killed_before_the_sandbox_that_it_calls(tmp_path, monkeypatch):
    """Else it would complain of a sandbox that is gone, after Ctrl-C."""
    monkeypatch.setattr(runall, "STOP_TIMEOUT_SECONDS", 0.1)
    calls, alone, ready = (tmp_path / name for name in ("calls", "alone", "ready"))
    os.mkfifo(calls)
    answers = f"import time; calls = open({str(calls)!r}, 'w'); time.sleep(600)"
    waits = (
        "import pathlib, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"calls = open({str(calls)!r}); pathlib.Path({str(ready)!r}).touch()\n"
        f"calls.read(); pathlib.Path({str(alone)!r}).touch()"
    )
    children = [
        runall.Child(name, [sys.executable, "-c", text]) for name, text in (("sandbox", answers), ("web", waits))
    ]
    try:
        wait_until(ready.exists)
    finally:
        runall.Command().stop_all(children)
    assert not alone.exists()


def test_a_taken_port_is_said_in_one_sentence(start, newcomer):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        everything = start("runall", "--port", str(taken.getsockname()[1]), **newcomer)
        assert everything.wait() != 0
    assert "is taken by another program" in everything.output
    assert "Traceback" not in everything.output


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("runall --port 99999", "--port must be a number from 1 to 65535, not 99999."),
        ("runall --port -1", "--port must be a number from 1 to 65535, not -1."),
        ("download_posters --limit -1", "--limit must be a number of 1 or more, not -1."),
        ("upload_posters --limit 0", "--limit must be a number of 1 or more, not 0."),
        ("refresh_movies --limit -1", "--limit must be a number of 1 or more, not -1."),
        ("requeue_posters --movie 99999999999999999999", "--movie must be a number from 1 to 2147483647"),
        ("runserver 99999", "The port must be a number from 0 to 65535, not 99999."),
        ("set_webhook --max-connections 1000", "--max-connections must be a number from 1 to 100, not 1000."),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_in_one_line(db, command, words):
    with pytest.raises(CommandError) as refused:
        call_command(*command.split())
    assert str(refused.value).startswith(words)
    assert "\n" not in str(refused.value)


def test_what_is_no_number_is_refused_in_one_line(environment):
    command = [sys.executable, "manage.py", "upload_posters", "--limit", "abc"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--limit" in done.stderr
    assert "'abc'" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_the_sandbox_refuses_a_port_that_is_none_in_one_line(environment):
    for command, port in ((["-m", "sandbox", "--port", "99999"], "8081"), (["manage.py", "check"], "99999")):
        variables = environment | {"SANDBOX_PORT": port, "TELEGRAM_BOT_TOKEN": ""}
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=variables, capture_output=True, text=True)
        assert done.returncode == 1
        assert "99999" in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_a_wrong_token_stops_the_start_and_says_what_to_do(start, sandbox):
    everything = start("runall", "--port", str(free_port()), TELEGRAM_BOT_TOKEN="1234567:not-a-token-of-any-bot")
    assert everything.wait() != 0
    assert "@BotFather" in everything.output
    assert "Traceback" not in everything.output


def test_a_wrong_key_is_named_by_check_services(start):
    check = start("check_services", TMDB_API_KEY="f" * 32)
    assert check.wait() == 1
    assert "TMDb refuses TMDB_API_KEY" in check.output
    assert "Traceback" not in check.output


def test_a_channel_where_the_bot_cannot_post_is_named(start, sandbox):
    channel = sandbox.telegram.channel("чужой", id=-1009999999999, admins=[])
    check = start("check_services", TELEGRAM_POSTER_CHANNELS=str(channel.id))
    assert check.wait() == 1
    assert "-1009999999999" in check.output
    assert "Traceback" not in check.output


def test_an_operator_who_cannot_be_told_is_named(start, sandbox):
    olga = sandbox.telegram.person("Ольга")
    olga.send("/start")
    olga.block()
    for chat, why in ((olga.id + 1, "chat not found"), (olga.id, "bot was blocked by the user")):
        check = start("check_services", OPERATOR_CHAT_ID=str(chat))
        assert check.wait() == 1
        (line,) = [line for line in check.lines if "OPERATOR_CHAT_ID" in line]
        assert why in line
        assert line.startswith("wrong")


def test_check_services_says_what_is_well(start):
    check = start("check_services")
    assert check.wait() == 0, check.output
    for line in ("Telegram knows the bot.", "TMDb takes the key."):
        assert line in check.output


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres://nobody@127.0.0.1:1/nothing", "The database does not answer at DATABASE_URL"),
        ("sqlite:///{}/new.sqlite3", "Run manage.py migrate"),
    ],
)
def test_a_database_that_is_away_or_has_no_tables_is_named_by_check_services(start, tmp_path, url, words):
    check = start("check_services", DATABASE_URL=url.format(tmp_path))
    assert check.wait() == 1
    assert words in check.output
    assert "Traceback" not in check.output


@pytest.mark.parametrize("name", ["BOT_THREADS", "TMDB_REQUESTS_PER_SECOND"])
def test_a_setting_that_is_no_number_is_named(start, name):
    check = start("check", **{name: "many"})
    assert check.wait() != 0
    assert f"{name} must be a number" in check.output
    assert "Traceback" not in check.output


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
@pytest.mark.parametrize(
    "name",
    ["TMDB_REQUESTS_PER_SECOND", "TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE", "METRICS_FLUSH_SECONDS"],
)
def test_a_limit_that_would_hold_nobody_is_named(start, name, value):
    check = start("check", **{name: value})
    assert check.wait() != 0
    assert check.output == f"A setting is wrong. {name} must be a number of 0 or more, not '{value}'."


@pytest.mark.parametrize(("name", "least"), [("BOT_THREADS", 1), ("Q_WORKERS", 1), ("DATABASE_POOL", 0)])
def test_fewer_than_work_needs_are_named(start, name, least):
    check = start("check", **{name: str(least - 1)}, DATABASE_URL="postgres://nobody@127.0.0.1:1/nothing")
    assert check.wait() != 0
    assert check.output == f"A setting is wrong. {name} must be a number of {least} or more, not '{least - 1}'."


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LOG_LEVEL", "foo", "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'FOO'."),
        ("TIME_ZONE", "Mars/X", "TIME_ZONE must be a name like Europe/Berlin, not 'Mars/X'."),
        ("TIME_ZONE", "../etc", "TIME_ZONE must be a name like Europe/Berlin, not '../etc'."),
        ("REDIS_URL", "redis://", "REDIS_URL must be redis://USER:PASSWORD@HOST:PORT/NUMBER."),
        ("REDIS_URL", "redis://h/abc", "REDIS_URL must be redis://USER:PASSWORD@HOST:PORT/NUMBER."),
        ("REDIS_URL", "redis://h/0?db=abc", "REDIS_URL must be redis://USER:PASSWORD@HOST:PORT/NUMBER."),
        (
            "DATABASE_URL",
            "sqlite:////proc/nowhere/x.sqlite3",
            "DATABASE_URL must lead to a folder that can be written, and /proc/nowhere cannot be made: "
            "No such file or directory.",
        ),
        (
            "DATABASE_URL",
            "postgres://a:b@127.0.0.1",
            "DATABASE_URL must be sqlite:///PATH or postgres://USER:PASSWORD@HOST:PORT/NAME.",
        ),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named_with_what_it_wants(start, name, value, words):
    check = start("check", **{name: value})
    assert check.wait() != 0
    assert check.output == f"A setting is wrong. {words}"


def test_a_level_of_the_log_may_be_written_small(start):
    check = start("check", LOG_LEVEL="debug")
    assert check.wait() == 0, check.output


def test_with_debug_off_a_missing_secret_key_refuses_to_start(start):
    check = start("check", DEBUG="0", SECRET_KEY="")
    assert check.wait() != 0
    assert "SECRET_KEY is missing" in check.output
    assert "Traceback" not in check.output


def test_the_sandbox_cannot_be_switched_on_beside_a_real_token(start):
    check = start("check", SANDBOX="1", TELEGRAM_BOT_TOKEN="123456:real-looking-token-of-another-bot")
    assert check.wait() != 0
    assert "SANDBOX is on" in check.output
    assert "Traceback" not in check.output


def test_the_sandbox_names_a_folder_that_it_cannot_write(environment):
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", "/proc/nowhere"]
    sandbox = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert sandbox.returncode == 1
    assert sandbox.stderr == "/proc/nowhere cannot be written: No such file or directory.\n"


def test_what_is_read_no_longer_is_no_error(environment):
    say = "from config.management.commands.runall import Command; [Command().say('Stopped.') for _ in range(3)]"
    command = f"{sys.executable} manage.py shell --verbosity 0 -c {shlex.quote(say)} | :"
    piped = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert piped.stderr == ""


def test_who_has_put_data_aside_gets_a_new_key(tmp_path, monkeypatch):
    monkeypatch.setattr("config.settings.DATA_DIR", tmp_path / "data")
    assert development_key() == (tmp_path / "data" / "secret_key").read_text()


def test_a_key_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("config.settings.DATA_DIR", tmp_path)
    (tmp_path / "secret_key").mkdir()  # in place of a file of another user, which root would read
    with pytest.raises(ImproperlyConfigured, match="secret_key cannot be read: Is a directory"):
        development_key()


@pytest.mark.parametrize("url", ["foo", "postgres://a:b@127.0.0.1:1/x"])
def test_a_database_that_cannot_be_used_is_named(start, url):
    check = start("migrate", DATABASE_URL=url)
    assert check.wait() != 0
    assert "DATABASE_URL" in check.output
    assert "Traceback" not in check.output


@pytest.fixture
def empty_database(environment, tmp_path):
    """The address of a database that has not been migrated."""
    if not environment["DATABASE_URL"].startswith("postgres"):
        yield f"sqlite:///{tmp_path}/empty.sqlite3"
        return
    server, own = environment["DATABASE_URL"].rsplit("/", 1)
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {own}_empty TEMPLATE template0")
        yield f"{server}/{own}_empty"
        admin.execute(f"DROP DATABASE {own}_empty WITH (FORCE)")


@pytest.mark.parametrize(
    "command",
    ["check --deploy", "import_ratings --all", "upload_posters", "build_recommendations", "runbot", "qcluster"],
)
def test_without_tables_a_command_says_what_to_do(start, empty_database, command):
    run = start(*command.split(), DATABASE_URL=empty_database)
    assert run.wait() != 0
    assert "Run `manage.py migrate` first." in run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize("in_a_file", [False, True])
def test_a_value_that_begins_with_a_dollar_sign_is_taken_as_it_stands(start, tmp_path, in_a_file):
    values = {"METRICS_TOKEN": "$tr0ng", "TELEGRAM_WEBHOOK_SECRET": "$HOME", "SESSION_ENCRYPTION_KEYS": "$new,$old"}
    variables = values | {"SECRET_KEY": "$ecret-of-this-test", "TMDB_API_KEY": "${PATH}"}
    if in_a_file:  # where the first three are not set otherwise
        (tmp_path / "settings").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        variables = {"ENV_FILE": str(tmp_path / "settings"), "SECRET_KEY": "$ecret-of-this-test", "TMDB_API_KEY": "$x"}
    show = (
        "from django.conf import settings as s; "
        "print([str(each) for each in (s.METRICS_TOKEN, s.TELEGRAM_WEBHOOK_SECRET, *s.SESSION_ENCRYPTION_KEYS)]); "
        "print([str(s.SECRET_KEY), str(s.TMDB_API_KEY)])"
    )
    shell = start("shell", "--verbosity", "0", "-c", show, **variables)
    assert shell.wait() == 0, shell.output
    kept = [variables["SECRET_KEY"], variables["TMDB_API_KEY"]]
    assert wait_until(lambda: shell.lines[-2:]) == [str(["$tr0ng", "$HOME", "$new", "$old"]), str(kept)]


def test_a_switch_that_is_neither_on_nor_off_is_named(start):
    check = start("check", DEBUG="maybe")
    assert check.wait() != 0
    assert "DEBUG must be 1 or 0" in check.output


def test_what_could_not_be_checked_is_not_called_well(start):
    check = start("check_services", TELEGRAM_API_URL="http://127.0.0.1:1", TMDB_API_URL="http://127.0.0.1:1/3")
    assert check.wait() == 1
    assert "The bot may post in each channel." not in check.output
    assert "Traceback" not in check.output


def test_a_bot_api_server_that_sends_few_fields_of_a_member_stops_nothing(start, sandbox):
    few = {"ok": True, "result": {"status": "administrator", "user": {"id": 1}, "can_post_messages": True}}
    sandbox.telegram.fail("getChatMember", status=200, body=json.dumps(few).encode(), times=None)
    check = start("check_services")
    assert check.wait() == 0, check.output
