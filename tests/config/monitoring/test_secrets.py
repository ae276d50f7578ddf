"""No secret is ever written: marked ones are sent through every error, and all that was written is searched."""

import html
import logging
import re
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django_q.models import Failure, OrmQ
from django_q.signing import SignedPackage

from config.jobs.enqueue import async_task
from config.models import Update
from config.monitoring import logs
from movies.tmdb import TMDb, TMDbError
from tests.config.test_start import free_port
from tests.conftest import queued, wait_until
from tests.helpers.proxies import NAME
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)

CLOSED = "127.0.0.1:9"  # where no server listens
READ_TOKEN = "eyJMARKEDheader.eyJMARKEDpayload.MARKEDsignature"
MARKS = {
    "TELEGRAM_BOT_TOKEN": "7654321:MARKED-bot-token-of-no-bot-00000000",
    "TMDB_API_KEY": "aced0fbadc0ffee00000000000face3d",
    "TELEGRAM_WEBHOOK_SECRET": "MARKED-webhook-secret-0",
    "METRICS_TOKEN": "MARKED-metrics-token-0",
    "SECRET_KEY": "MARKED <secret> key & 'quoted' for Django 00000000000000",
    "SESSION_ENCRYPTION_KEYS": "MARKED-encryption-key-00000000000000000",
}
DATABASE_PASSWORD, REDIS_PASSWORD, PROXY_PASSWORD = (
    "MARKED-base-p@ss/word",
    "MARKED-redis-p@ss/word",
    "MARKED-proxy-p@ss",
)
ALL = [*MARKS.values(), READ_TOKEN, DATABASE_PASSWORD, REDIS_PASSWORD, PROXY_PASSWORD]
DEAD_DATABASE = f"postgres://kino:{quote(DATABASE_PASSWORD, safe='')}@{CLOSED}/kino"
SESSION, TOKEN = "5e55105e" * 5, "70ce70ce" * 5  # a session and a request token, as TMDb makes them


def redis_at(place):
    return f"redis://:{quote(REDIS_PASSWORD, safe='')}@{place}/0"


def proxy_at(place):
    return f"http://kino:{quote(PROXY_PASSWORD, safe='')}@{place}"


def services_at(url):
    return {"TELEGRAM_API_URL": url, "TMDB_API_URL": f"{url}/3", "TMDB_IMAGE_URL": f"{url}/t/p"}


def assert_clean(text, what, *more):
    """Neither a mark nor anything else that is given stands in the text, however it is written."""
    for secret in [*ALL, SESSION, TOKEN, *more]:
        for spelling in {secret, quote(secret, safe=""), html.escape(secret), repr(secret)[1:-1]}:
            assert spelling not in text, f"{secret} is in {what}: {around(text, spelling)}"
    assert "MARKED" not in text, f"a part of a secret is in {what}: {around(text, 'MARKED')}"


def around(text, words):
    place = text.find(words)
    return f"…{text[max(0, place - 600) : place + len(words) + 60]}…"


@pytest.fixture
def marked(environment):
    """Variables of a process whose every secret is marked."""
    return {**environment, **MARKS, "ALLOWED_HOSTS": "127.0.0.1", "LOG_LEVEL": "DEBUG"}


def reports_of(start, call, variables, enough):
    """What a process prints that fails on purpose in many ways, with all variables of all frames."""
    process = start(
        "shell", "--verbosity", "0", "-c", f"from tests.helpers.secret_leak_harness import *; {call}", **variables
    )
    process.wait(120)
    assert process.output.count("\nREPORT ") >= enough, process.output[-3000:]
    return process.output


# --- Settings, and the variables of frames


def test_no_setting_shows_a_secret(start, marked):
    words = (
        "import pprint; from config import settings; pprint.pprint({n: getattr(settings, n) for n in dir(settings)})"
    )
    variables = {**marked, "REDIS_URL": redis_at(CLOSED), "HTTPS_PROXY": proxy_at(CLOSED)}
    for database in (DEAD_DATABASE, marked["DATABASE_URL"]):
        process = start("shell", "--verbosity", "0", "-c", words, **{**variables, "DATABASE_URL": database})
        assert process.wait() == 0, process.output
        assert "'TELEGRAM_API_URL'" in process.output
        assert_clean(process.output, "the settings")


@pytest.mark.parametrize("key", ["TMDB_API_KEY", READ_TOKEN])
@pytest.mark.parametrize("fault", ["refused", "proxy", "html", "errors", "hang"])
def test_no_report_of_a_failed_call_shows_a_secret(sandbox, start, marked, fault, key):
    variables = {**marked, "TMDB_API_KEY": MARKS.get(key, key), "METRICS_FLUSH_SECONDS": "0"}
    if fault == "refused":
        variables |= services_at(f"http://{CLOSED}")
    elif fault == "proxy":
        variables |= services_at(f"http://{NAME}") | {"HTTP_PROXY": proxy_at(CLOSED)}
    elif fault == "html":
        sandbox.faults.add("^/", times=None, response=answer(502, b"<html>Bad Gateway</html>"))
    elif fault == "errors":
        sandbox.tmdb.fail("^/3/", 401, times=None)
        sandbox.faults.add(
            "^/bot", times=None, response=answer(400, b'{"ok": false, "error_code": 400, "description": "?"}')
        )
    else:
        sandbox.faults.add("^/", times=None, drop="before")
    text = reports_of(start, f"report_services('{SESSION}', '{TOKEN}')", variables, enough=15)
    assert_clean(text, f"the reports of {fault}")


def answer(status, body):
    from sandbox.http_server import Response

    return Response(status, body, {"Content-Type": "text/html"})


class ForgetfulRedis:
    """Something on a port that speaks Redis' protocol and knows no password."""

    def __enter__(self):
        self.door = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self.listen, daemon=True).start()
        return self

    def listen(self):
        with suppress(OSError):
            while True:
                caller, _address = self.door.accept()
                threading.Thread(target=self.refuse, args=(caller,), daemon=True).start()

    def refuse(self, caller):
        with suppress(OSError), caller:
            while caller.recv(65536):
                caller.sendall(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")

    def __exit__(self, *exception):
        self.door.close()


def test_no_report_of_a_database_or_redis_that_is_away_shows_a_secret(start, marked):
    with ForgetfulRedis() as forgetful:
        for place in (CLOSED, forgetful.place):
            variables = {**marked, "DATABASE_URL": DEAD_DATABASE, "REDIS_URL": redis_at(place)}
            text = reports_of(start, "report_stores()", variables, enough=3)
            assert_clean(text, f"the reports with Redis at {place}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"DATABASE_URL": "postgres://kino:MARKED/pass@db.example/kino"},
        {"DATABASE_URL": "postgres://kino:MARKED@db.example:port/kino"},
        {"DATABASE_URL": "postgresqlx://kino:MARKED-pass@db.example/kino"},
        {"DATABASE_URL": "MARKED-pass"},
        {"REDIS_URL": "redis://:MARKED/pass@redis.example:6379/0"},
        {"REDIS_URL": "redis://:MARKED@redis.example:port/0"},
        {"REDIS_URL": "MARKED-pass"},
    ],
)
def test_a_wrong_address_is_named_without_its_password(start, wrong):
    process = start("check", **wrong)
    assert process.wait() != 0
    assert next(iter(wrong)) in process.output
    assert "Traceback" not in process.output
    assert_clean(process.output, "what is said of a wrong address")


# --- Commands


COMMANDS = [
    ["migrate"], ["check"], ["check_services"], ["set_webhook"], ["delete_webhook"], ["import_ratings", "--all"],
    ["download_posters"], ["upload_posters"], ["refresh_movies"], ["requeue_posters", "--all"], ["rotate_session_key"],
    ["build_recommendations"], ["createsuperuser", "--noinput", "--username", "x", "--email", ""],
]  # fmt: skip


def test_no_command_that_fails_shows_a_secret(start, marked, tmp_path):
    dead = services_at(f"http://{CLOSED}") | {"DATABASE_URL": DEAD_DATABASE, "REDIS_URL": redis_at(CLOSED)}
    dead |= {"TELEGRAM_WEBHOOK_URL": "https://kinoteka.example/"}
    text = reports_of(start, f"report_commands(*{COMMANDS!r})", {**marked, **dead}, enough=8)
    assert_clean(text, "the reports of commands")
    ends = [start(*command, **{**marked, **dead}) for command in (["runall", "--port", "1"], ["import_ratings"])]
    ends += [start("migrate_to_postgres", "--from", f"sqlite:///{tmp_path}/none", "--to", DEAD_DATABASE, **marked)]
    runs = [start(command, **{**marked, **dead, "TELEGRAM_WEBHOOK_URL": ""}) for command in ("runbot", "qcluster")]
    for process in ends:
        assert process.wait(60) != 0
        assert_clean(process.output, process.process.args)
    runs[0].wait_for_line("getUpdates")
    wait_until(lambda: "rror" in runs[1].output, 60, lambda: runs[1].output)
    for process in runs:
        process.kill()
        assert_clean(process.output, process.process.args)


def test_a_password_in_an_argument_is_warned_of_and_not_repeated(start, tmp_path):
    (tmp_path / "kino.sqlite3").touch()
    source = f"sqlite:///{tmp_path}/kino.sqlite3"
    process = start("migrate_to_postgres", "--from", source, "--to", DEAD_DATABASE)
    assert process.wait() == 1
    assert "PGPASSWORD" in process.output
    assert "cannot be opened" in process.output
    assert_clean(process.output, ["migrate_to_postgres"])


def test_with_debug_off_the_first_password_is_not_printed(start, marked):
    everything = start(
        "runall", "--port", str(free_port()), **{**marked, "DEBUG": "0", "TELEGRAM_API_URL": f"http://{CLOSED}"}
    )
    everything.wait_for_line("Kinoteka is running", 60)
    assert "/admin/" in everything.output
    assert not re.search(r"admin / \S", everything.output)
    everything.terminate(signal.SIGINT)  # a kill would leave its processes a moment to disturb the next test


# --- Everything at once


@pytest.fixture
def marked_sandbox(sandbox, marked):
    """The stand-ins with marked secrets, reached through a proxy with a password; the variables for processes."""
    account = sandbox.telegram.accounts.pop(sandbox.telegram_token)
    account.token = MARKS["TELEGRAM_BOT_TOKEN"]
    sandbox.telegram.accounts[account.token] = account
    sandbox.tmdb.keys |= {MARKS["TMDB_API_KEY"], READ_TOKEN}
    place = sandbox.url.removeprefix("http://")
    sandbox.server.http.names.add(NAME)
    variables = {"HTTP_PROXY": proxy_at(place), "DJANGO_SETTINGS_MODULE": "tests.helpers.secret_leak_settings"}
    return {**marked, **services_at(f"http://{NAME}"), **variables}


@pytest.mark.parametrize("dress", [{"LOG_FORMAT": "json"}, {"LOG_FORMAT": "text", "TMDB_API_KEY": READ_TOKEN}])
def test_nothing_the_system_writes_holds_a_secret(sandbox, start, marked_sandbox, client, settings, monkeypatch, dress):
    settings.SECRET_KEY = MARKS["SECRET_KEY"]
    monkeypatch.setattr("django_q.conf.Conf.SECRET_KEY", MARKS["SECRET_KEY"])  # signs what is queued
    settings.SESSION_ENCRYPTION_KEYS = [MARKS["SESSION_ENCRYPTION_KEYS"]]
    variables, port = {**marked_sandbox, **dress}, free_port()
    web = start("runserver", "--noreload", f"127.0.0.1:{port}", **variables)
    running = [web, start("runbot", **variables), start("qcluster", **{**variables, "Q_WORKERS": "2"})]
    anna = sandbox.telegram.person("Anna", language_code="en")
    sandbox.telegram.open_private_chat(sandbox.telegram.bot, anna)
    tokens, sessions = set(), set()

    def say(text, **telegrams_trouble):
        """Anna writes, and the bot has done with it."""
        if telegrams_trouble:
            sandbox.telegram.fail("sendMessage", **telegrams_trouble)
        anna.send(text)
        finished(sandbox, variables, running)
        sandbox.faults.clear()
        tokens.update(sandbox.tmdb.tokens)
        sessions.update(sandbox.tmdb.sessions)

    def press(question):
        anna.press(question, text="Done")
        finished(sandbox, variables, running)
        sandbox.faults.clear()
        sessions.update(sandbox.tmdb.sessions)

    for fault in (
        {"status": 400, "description": "Bad Request: can't parse entities"}, {"status": 500}, {"status": 403},
        {"body": b"<html>", "status": 502}, {"body": b'{"ok": true, "result": []}', "status": 200},
        {"body": b"[]", "status": 200}, {"drop": "after"}, {"drop": "before"}, {"retry_after": 1},
    ):  # fmt: skip
        say("/connect again", **fault)
    for status in (401, 404, 429, 500):
        sandbox.tmdb.fail("^/3/authentication/token/new", status, times=None)
        say("/connect again")
    say("/connect again")
    question = anna.chat[-1]
    token = question.button(text="Done").data.partition(":")[2]
    press(question)  # not approved
    for fault in ({"status": 503}, {"body": "<html>", "status": 200}, {"drop": "before"}, {"body": "[" * 100_000}):
        sandbox.tmdb.fail("^/3/authentication/session/new", times=None, **{"status": 200} | fault)
        press(question)
    sandbox.tmdb.approve(token, "demo")
    press(question)
    wait_until(lambda: User.objects.get(pk=anna.id).connected, 30, lambda: running[1].output)
    user = User.objects.get(pk=anna.id)
    wait_until(lambda: User.objects.get(pk=anna.id).sync_status == 2, 60, lambda: running[2].output)
    for status in (500, 404, 401):
        sandbox.tmdb.fail(r"^/3/movie/\d+/rating$", status, times=None)
        say(f"/rate 603 {status % 7 + 1}")
    sandbox.tmdb.revoke(sandbox.tmdb.account("demo"))
    anna.send("/sync")
    wait_until(lambda: User.objects.get(pk=anna.id).sync_status == -1, 60, lambda: running[2].output)
    sandbox.faults.clear()
    async_task("tests.helpers.secret_leak_harness.job")
    async_task("tests.helpers.secret_leak_harness.no_such_job")
    wait_until(lambda: Failure.objects.count() >= 2, 60, lambda: running[2].output)
    assert "Spill: this job fails" in " ".join(Failure.objects.values_list("result", flat=True))

    pages = ask_everything(port)
    assert pages["/spill/"].status_code == 500
    assert "Spill" in pages["/spill/"].text
    assert pages["/metrics with the token"].status_code == 200
    secrets = tokens | sessions
    assert len(tokens) > 5
    assert sessions
    for address, page in pages.items():
        assert_clean(page.text, address, *secrets)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            assert_clean(path.read_bytes().decode(errors="replace"), path, *secrets)
    client.force_login(get_user_model().objects.create_superuser("olga"))
    for address, text in admin_pages(client).items():
        assert_clean(text, address, *secrets)
    for process in running:
        process.terminate()
        assert_clean(process.output, process.process.args, *secrets)
    assert any("Traceback" in process.output for process in running), "they have met errors"
    for place, text in everything_in_the_database():
        if place != "cache.value":  # request tokens, encrypted; everything else there is looked at by its own reader
            assert_clean(text, place, *secrets)
    assert user.session_id in sessions


def finished(sandbox, variables, running):
    """Wait until the bot has handled all that was sent to it."""
    account = sandbox.telegram.account_of(sandbox.telegram.bot)

    def handled():
        return not sandbox.telegram.waiting_updates(account) and not Update.objects.filter(state__lt=2).exists()

    wait_until(handled, 60, lambda: running[1].output)


def ask_everything(port):
    """What the web server answers to strangers, probes and errors."""
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: listens(port), 60)
    bearer = {"Authorization": f"Bearer {MARKS['METRICS_TOKEN']}"}
    telegram = {"X-Telegram-Bot-Api-Secret-Token": MARKS["TELEGRAM_WEBHOOK_SECRET"]}
    session = requests.Session()
    session.trust_env = False
    pages = {path: session.get(url + path, timeout=30) for path in ("/healthz", "/readyz", "/metrics", "/nowhere/")}
    pages["/metrics with the token"] = session.get(f"{url}/metrics", headers=bearer, timeout=30)
    pages["/spill/"] = session.get(f"{url}/spill/", headers={**bearer, **telegram, "Accept": "text/html"}, timeout=30)
    pages["/spill/ as text"] = session.post(f"{url}/spill/", headers=bearer, data={"x": SESSION}, timeout=30)
    pages["a webhook"] = session.post(f"{url}/telegram/webhook/", json={"update_id": "x"}, headers=telegram, timeout=30)
    return pages


def listens(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True


def admin_pages(client):
    """{address: HTML} of lists and rows of the admin, three links deep, a few of a kind."""
    pages, waiting = {}, ["/admin/"]
    for _step in range(3):
        links = []
        for address in waiting:
            page = client.get(address)
            pages[address] = page.getvalue().decode()  # a table of figures is streamed
            links += [html.unescape(link) for link in re.findall(r'href="(/admin/[^"#?]*)"', pages[address])]
        kinds = {re.sub(r"/\w*\d\w*/", "/1/", link): link for link in links}
        waiting = [link for link in kinds.values() if not re.search(r"logout|password|/add/", link)]
        waiting += [f"/admin/django_q/failure/{job.pk}/change/" for job in Failure.objects.all()]
        waiting = [link for link in waiting if link not in pages]
    assert any("Spill" in text for text in pages.values())
    return pages


def everything_in_the_database():
    """(table.column, text) of all that is stored; what is packed is read as its readers read it."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                yield from ((f"{table}.{name}", str(value)) for name, value in zip(names, row, strict=True))
    for model in apps.get_models():
        for row in model._base_manager.all():
            yield model._meta.label, repr({name: value for name, value in vars(row).items() if name != "_state"})
    for job in OrmQ.objects.all():
        yield "OrmQ", repr(SignedPackage.loads(job.payload))
    yield "the queue", repr(queued())


# --- Logs


def test_a_record_is_masked_as_it_is_made_whoever_handles_it(sandbox, settings, caplog):
    """Other libraries' loggers at DEBUG, and a handler that knows nothing of masks."""
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger="urllib3")
    settings.TMDB_API_KEY = MARKS["TMDB_API_KEY"]
    sandbox.tmdb.fail("^/3/", 500, times=None)
    tmdb = TMDb(background=False)
    with pytest.raises(TMDbError):
        tmdb.account(SESSION)
    try:
        raise ValueError(f"https://x/?session_id={SESSION} redis://u:{REDIS_PASSWORD}@h")
    except ValueError:
        logging.getLogger("anything").exception("with %s", f"Bearer {READ_TOKEN}")
    assert "GET /3/account" in caplog.text
    assert "ValueError" in caplog.text
    assert_clean(caplog.text, "the log")


def test_known_secrets_are_masked_however_they_are_spelled():
    before = logs._known_secrets_re
    try:
        logs.register_secrets([MARKS["SECRET_KEY"], "short", ""])
        for spelling in (MARKS["SECRET_KEY"], quote(MARKS["SECRET_KEY"], safe=""), html.escape(MARKS["SECRET_KEY"])):
            assert logs.redact(f"a {spelling} b") == "a *** b"
        assert logs.redact("a short word") == "a short word"
    finally:
        logs._known_secrets_re = before
    assert logs.redact("http://kino:pass@proxy:8080/") == "http://***@proxy:8080/"
    assert logs.redact("http://proxy:8080/a:b@c") == "http://proxy:8080/a:b@c"


def test_what_ends_a_thread_is_masked(start, marked):
    words = f"import threading; threading.Thread(target=lambda: int('{TOKEN} x')).start(); int('{SESSION} x')"
    process = start("shell", "--verbosity", "0", "-c", words, **marked)
    assert process.wait() != 0
    assert process.output.count("ValueError") == 2, process.output
    assert_clean(process.output, "tracebacks")
