"""What other programs ask: alive, ready, metrics; and logs that a program can read."""

import json
import re
import time

import pytest
import requests
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.urls import reverse
from prometheus_client.parser import text_string_to_metric_families

from config import __version__
from config.jobs.schedules import SCHEDULES
from config.middleware import viewers_time_zone
from config.models import Heartbeat, Update
from config.monitoring import metrics
from movies.models import Movie
from tests.conftest import Process, wait_until
from tests.helpers.imports import linked, rate
from tests.helpers.waiting import free_port
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)

NEVER_LISTENING = "postgres://kinoteka@127.0.0.1:9/kinoteka"


def record_heartbeats(age=0):
    at = time.time() - age
    rows = [("bot", "here"), ("worker", "here kinoteka 1"), ("schedule", next(iter(SCHEDULES)))]
    Heartbeat.objects.all().delete()
    Heartbeat.objects.bulk_create(Heartbeat(kind=kind, name=name, seen_at=at) for kind, name in rows)


def metrics_of(text):
    """{(sample, its labels' values): value}."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_ready_means_database_queue_and_fresh_heartbeats(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["heartbeats"]["worker"] == {"age_seconds": None, "stale": True}
    record_heartbeats()
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.json()
    assert (answer.json()["database"], answer.json()["queue"]) == ("ok", "ok")
    record_heartbeats(age=3600)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert {kind for kind, heartbeat in answer.json()["heartbeats"].items() if heartbeat["stale"]} == {
        "bot",
        "worker",
        "schedule",
    }


def test_with_a_webhook_no_heartbeat_of_a_polling_bot_is_needed(client, settings):
    settings.TELEGRAM_WEBHOOK_URL = "https://kinoteka.example"
    record_heartbeats()
    Heartbeat.objects.filter(kind="bot").delete()
    assert client.get("/readyz").status_code == 200


def test_a_cluster_that_is_gone_is_named_however_well_the_others_do(client, settings):
    settings.METRICS_TOKEN = "a-token"
    record_heartbeats()
    assert client.get("/readyz").status_code == 200, "one cluster does everything"
    settings.Q_CLUSTERS = True
    now = time.time()
    Heartbeat.objects.create(kind="worker", name="here posters 2", seen_at=now)
    imports = Heartbeat.objects.create(kind="worker", name="elsewhere imports 3", seen_at=now - 3600)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert [kind for kind, heartbeat in answer.json()["heartbeats"].items() if heartbeat["stale"]] == ["worker imports"]
    imports.delete()  # as the other clusters of its machine do a minute later
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["heartbeats"]["worker imports"] == {"age_seconds": None, "stale": True}
    found = metrics_of(client.get("/metrics", headers={"Authorization": "Bearer a-token"}).content.decode())
    down = {name[1] for name, value in found.items() if name[0] == "kinoteka_component_up" and not value}
    assert down == {"worker imports"}
    Heartbeat.objects.create(kind="worker", name="here imports 4", seen_at=now)
    assert client.get("/readyz").status_code == 200


def test_the_version_is_shown_to_programs_and_to_staff(client):
    assert client.get("/healthz").content.decode() == f"ok {__version__}\n"
    page = reverse("admin:index")
    assert __version__ not in client.get(page, follow=True).content.decode(), "strangers see no version"
    client.force_login(get_user_model().objects.create_superuser("olga"))
    assert f"Кинотека {__version__}" in client.get(page).content.decode()


def test_without_its_database_a_process_lives_and_is_not_ready(environment):
    port = free_port()
    variables = {**environment, "DATABASE_URL": NEVER_LISTENING, "REDIS_URL": "", "DEBUG": "0"}
    variables |= {"ALLOWED_HOSTS": "kinoteka.example"}
    web = Process(["-m", "gunicorn", "--bind", f"127.0.0.1:{port}"], variables)
    try:
        web.wait_for_line("Booting worker")
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).text == f"ok {__version__}\n"
        assert requests.head(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
        answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30)
        assert answer.status_code == 503
        assert answer.json()["database"] == "away (OperationalError)"
        outside = requests.get(f"http://127.0.0.1:{port}/admin/", timeout=10, allow_redirects=False)
        assert outside.status_code == 400, "other pages mind the host they are asked for"
    finally:
        web.kill()
    assert "HEAD" not in web.output, "gunicorn warns of an answer with a body"


@pytest.fixture
def serve(environment):
    """serve(NAME=value, …): the address of a real web server with these variables."""
    started = []

    def begin(**variables):
        port = free_port()
        web = Process(["-m", "gunicorn", "--bind", f"127.0.0.1:{port}"], {**environment, **variables})
        started.append(web)
        web.wait_for_line("Booting worker")
        return f"http://127.0.0.1:{port}"

    yield begin
    for web in started:
        web.kill()


def test_metrics_without_redis_lack_the_depth_of_the_queue_alone(serve):
    record_heartbeats()
    bearer = {"Authorization": "Bearer a-token"}
    url = serve(METRICS_TOKEN="a-token", REDIS_URL="redis://127.0.0.1:9/0")
    answer = requests.get(f"{url}/metrics", headers=bearer, timeout=30)
    assert answer.status_code == 200
    names = {name for name, *_labels in metrics_of(answer.text)}
    assert "kinoteka_queue_depth" not in names
    assert {"kinoteka_cards_total", "kinoteka_movies", "kinoteka_updates_pending", "kinoteka_component_up"} <= names


def test_the_admin_is_there_while_redis_is_away(serve, client):
    client.force_login(get_user_model().objects.create_superuser("olga"))
    session = {"sessionid": client.cookies["sessionid"].value}
    url = serve(REDIS_URL="redis://127.0.0.1:9/0")
    page = requests.get(f"{url}/admin/", cookies=session, timeout=30)
    assert page.status_code == 200
    assert 'id="storage"' in page.text


def test_metrics_without_the_database_are_not_there_and_say_why(serve):
    bearer = {"Authorization": "Bearer a-token"}
    url = serve(METRICS_TOKEN="a-token", DATABASE_URL=NEVER_LISTENING, REDIS_URL="")
    answer = requests.get(f"{url}/metrics", headers=bearer, timeout=30)
    assert (answer.status_code, answer.text) == (503, "The database is away (OperationalError).\n")
    assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no pool")
def test_with_a_pool_readyz_does_not_wait_long_for_a_database_that_is_away(serve):
    address = {"DATABASE_URL": NEVER_LISTENING, "DATABASE_POOL": "2", "REDIS_URL": ""}
    secret = {"X-Telegram-Bot-Api-Secret-Token": "a-secret"}
    url = serve(**address, TELEGRAM_WEBHOOK_URL="https://kinoteka.example", TELEGRAM_WEBHOOK_SECRET="a-secret")
    answer = requests.get(f"{url}/readyz", timeout=4)  # the pool would take longer than that
    assert answer.status_code == 503
    assert answer.json()["database"] == answer.json()["queue"] == "away (OperationalError)"
    update = {"update_id": 1, "message": {"message_id": 1, "chat": {"id": 5}}}
    assert requests.post(f"{url}/telegram/webhook/", json=update, headers=secret, timeout=15).status_code == 503


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no pool")
def test_with_a_pool_a_database_that_is_there_is_ready(serve):
    record_heartbeats()
    assert requests.get(f"{serve(DATABASE_POOL='2')}/readyz", timeout=30).status_code == 200


def test_a_database_without_tables_is_not_ready(environment, tmp_path):
    port = free_port()
    web = Process(
        ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}"],
        {**environment, "DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3", "REDIS_URL": ""},
    )
    try:
        web.wait_for_line("Booting worker")
        answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30)
        assert (answer.status_code, answer.json()["database"]) == (503, "away (OperationalError)")
    finally:
        web.kill()


def test_the_admin_has_its_styles_without_debug_and_without_a_server_for_files(environment):
    port = free_port()
    variables = {**environment, "DEBUG": "0", "ALLOWED_HOSTS": "127.0.0.1", "SECURE_SSL_REDIRECT": "0"}
    web = Process(["-m", "gunicorn", "--bind", f"127.0.0.1:{port}"], variables)
    try:
        web.wait_for_line("Booting worker")
        style = requests.get(f"http://127.0.0.1:{port}/static/admin/css/base.css", timeout=10)
        assert style.status_code == 200
        assert style.headers["Content-Type"].startswith("text/css")
    finally:
        web.kill()


def test_metrics_are_for_who_has_the_token(client, settings):
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics").status_code == 404
    settings.METRICS_TOKEN = "a-token"
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-token"}):
        assert client.get("/metrics", headers=given).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer a-token"}).status_code == 200


def test_metrics_tell_of_all_processes_together(client, settings, sandbox, handle):
    settings.METRICS_TOKEN = "a-token"
    cache.clear()
    anna = sandbox.telegram.person("Анна")
    for text in ("/help", "603", "/movie 604"):
        anna.send(text)
    handle()
    metrics.flush()
    metrics.observe_latency("updates", 0.3)  # as another process would
    metrics.flush()
    linked(sandbox, anna, "anna")
    Update.objects.create(update_id=1, chat="1", body="{}", received_at=time.time())

    def scrape():
        return metrics_of(client.get("/metrics", headers={"Authorization": "Bearer a-token"}).content.decode())

    found = scrape()
    assert found["kinoteka_update_duration_seconds_count",] == 4
    assert found["kinoteka_update_duration_seconds_bucket", "+Inf"] == 4
    assert (
        found["kinoteka_update_duration_seconds_bucket", "0.25"]
        <= found["kinoteka_update_duration_seconds_bucket", "0.5"]
    )
    assert sum(value for name, value in found.items() if name[0] == "kinoteka_cards_total") == 2
    assert found["kinoteka_http_requests_total", "other", "telegram"] >= 3
    assert found["kinoteka_http_requests_total", "other", "tmdb"] >= 1
    waiting, sent = found["kinoteka_movies", "waits_for_download"], found["kinoteka_movies", "in_telegram"]
    assert waiting + sent == Movie.objects.count()
    assert found["kinoteka_users", "queued"] == 1
    assert found["kinoteka_build_info", __version__] == 1
    assert found["kinoteka_telegram_request_duration_seconds_count",] >= 3
    assert found["kinoteka_tmdb_request_duration_seconds_count",] >= 1
    assert found["kinoteka_disk_free_bytes",] > 0
    assert ("kinoteka_oldest_waiting_poster_seconds",) in found
    assert found["kinoteka_queue_depth", "kinoteka"] >= 0
    assert found["kinoteka_updates_pending",] == 1
    assert (
        scrape()["kinoteka_http_requests_total", "other", "telegram"]
        == found["kinoteka_http_requests_total", "other", "telegram"]
    )
    sandbox.tmdb.fail(r"^/3/", 500, times=None)
    anna.send("/movie 5001")
    handle()
    metrics.flush()
    assert scrape()["kinoteka_http_errors_total", "tmdb"] > found["kinoteka_http_errors_total", "tmdb"]


def test_no_series_is_named_by_a_process(client, settings):
    settings.METRICS_TOKEN = "a-token"
    now = time.time()
    for number in (11, 12):
        Heartbeat.objects.create(kind="worker", name=f"here kinoteka {number}", seen_at=now - number)
    text = client.get("/metrics", headers={"Authorization": "Bearer a-token"}).content.decode()
    found = metrics_of(text)
    assert found["kinoteka_heartbeat_timestamp_seconds", "worker", "here kinoteka"] == pytest.approx(now - 11)
    assert not re.search(r'"here kinoteka 1', text)
    described = set(re.findall(r"^# HELP (\w+) \S", text, re.M))
    assert described == set(re.findall(r"^# TYPE (\w+)", text, re.M))


def test_a_count_never_falls_when_old_minutes_are_forgotten(client, settings, monkeypatch):
    settings.METRICS_TOKEN = "a-token"
    metrics.increment("telegram.requests", 7)
    metrics.flush()
    later = time.time() + 3 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    metrics.increment("telegram.requests", 2)
    metrics.flush()
    found = metrics_of(client.get("/metrics", headers={"Authorization": "Bearer a-token"}).content.decode())
    assert found["kinoteka_http_requests_total", "other", "telegram"] == 9


def test_one_id_goes_through_update_job_and_request(sandbox, start):
    anna = sandbox.telegram.person("Анна")
    user = linked(sandbox, anna, "anna")
    rate(user.account, list(sandbox.tmdb.films)[:3])
    options = {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"}
    User.objects.update(sync_status=SyncStatus.IMPORTED)
    bot = start("runbot", **options)
    anna.send("/sync")

    def lines(process):
        found = [json.loads(line) for line in process.lines if line.startswith("{")]
        assert all({"time", "level", "logger", "message"} <= line.keys() for line in found)
        return found

    def ids_of(process, words):
        return {line["id"] for line in lines(process) if "id" in line and line["message"].startswith(words)}

    worker = start("qcluster", Q_WORKERS="1", **options)
    asked = wait_until(lambda: ids_of(worker, "TMDb: GET /account/"), 60, lambda: worker.output)
    assert all(id.startswith("u") for id in asked)
    wait_until(lambda: asked <= ids_of(bot, "update "), explain=lambda: bot.output)
    assert asked <= ids_of(bot, "Telegram: sendMessage: 200")


def all_json(process):
    lines = [json.loads(line) for line in process.lines]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    return [line["message"] for line in lines]


def test_for_a_program_every_line_of_the_bot_and_the_workers_is_json(sandbox, start, tmp_path):
    bot = start("runbot", LOG_FORMAT="json")
    bot.wait_for_line("The bot is polling")
    assert bot.terminate() == 0
    assert "The bot has stopped; every update is handled or will come again." in all_json(bot)
    refused = start("runbot", LOG_FORMAT="json", TELEGRAM_WEBHOOK_URL="https://x", TELEGRAM_WEBHOOK_SECRET="x")
    assert refused.wait() != 0
    assert "TELEGRAM_WEBHOOK_URL is set" in all_json(refused)[-1]
    new = start("qcluster", LOG_FORMAT="json", DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3")
    assert new.wait() != 0
    assert "Run `manage.py migrate` first." in all_json(new)[-1]


def test_for_a_program_every_line_of_the_web_server_is_json(environment, tmp_path):
    token = "1234567:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    (tmp_path / "spilling.py").write_text(
        "import logging, warnings\n"
        f"def when_ready(server):\n    server.log.warning('bot {token}')\n    warnings.warn('an old thing')\n"
        "exec(open('gunicorn.conf.py').read())\n"
    )
    port = str(free_port())
    command = ["-m", "gunicorn", "--config", str(tmp_path / "spilling.py"), "--bind", f"127.0.0.1:{port}"]
    for log_format in ("json", "text"):
        web = Process(command, {**environment, "LOG_FORMAT": log_format, "PYTHONPATH": "."})
        try:
            web.wait_for_line("Booting worker")
            assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=30).ok
            web.terminate()
        finally:
            web.kill()
        assert "bot ***" in web.output
        assert token not in web.output
        if log_format == "json":
            said = all_json(web)
            assert any("Listening at" in line for line in said)
            assert any("Shutting down" in line for line in said)


def test_on_a_terminal_logs_are_lines_for_people(sandbox, start):
    anna = sandbox.telegram.person("Анна")
    bot = start("runbot", LOG_LEVEL="DEBUG")
    anna.send("/help")
    bot.wait_for_line("Telegram: sendMessage: 200 [u")
    assert not any(line.startswith("{") for line in bot.lines)


def test_an_unknown_log_format_is_said_in_one_sentence(start):
    check = start("check", LOG_FORMAT="xml")
    assert check.wait() != 0
    assert "LOG_FORMAT must be text or json" in check.output
    assert "Traceback" not in check.output


def test_an_exception_is_one_json_line_without_secrets(sandbox, start):
    sandbox.telegram.fail("sendMessage", status=500, body=b"{}", times=None)
    anna = sandbox.telegram.person("Анна")
    bot = start("runbot", LOG_FORMAT="json")
    anna.send("/help")
    bot.wait_for_line('"exception"')
    line = next(json.loads(line) for line in bot.lines if '"exception"' in line)
    assert line["level"] == "ERROR"
    assert "Traceback" in line["exception"]
    assert sandbox.telegram_token not in bot.output


@pytest.mark.parametrize("cookies", [{}, {"timezone": "Nowhere/At all"}, {"timezone": "../../etc/passwd"}])
def test_a_failed_request_tells_its_own_error_and_not_of_a_missing_time_zone(rf, cookies):
    def fail(request):
        raise ValueError("its own")

    rf.cookies.load(cookies)
    with pytest.raises(ValueError, match="its own") as failure:
        viewers_time_zone(fail)(rf.get("/"))
    assert failure.value.__context__ is None
