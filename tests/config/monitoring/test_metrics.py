"""Heartbeats and counters: every process adds up, the database holds the sum, no call waits for it."""

import time

import pytest
from django.db import DatabaseError, OperationalError, transaction
from telebot.apihelper import ApiTelegramException

from config.bot.client import max_retry_wait
from config.bot.router import bot
from config.jobs.enqueue import async_task
from config.models import Heartbeat, MetricCount
from config.monitoring import heartbeats, metrics
from movies.tmdb import TMDb, Unavailable
from sandbox.http_server import Response
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db


def counted(name):
    return sum(MetricCount.objects.filter(name=name).values_list("number", flat=True))


def test_counts_add_up_whichever_process_writes_them():
    for _ in range(3):
        metrics.increment("tmdb.requests")
    metrics.flush()
    metrics.increment("tmdb.requests", 2)  # as another process would
    metrics.flush(), metrics.flush()
    assert counted("tmdb.requests") == 5


def test_counting_asks_the_database_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        for _ in range(1000):
            metrics.increment("telegram.requests")
            heartbeats.record_heartbeat("bot", "here")


def test_what_could_not_be_written_is_written_later(monkeypatch):
    metrics.increment("tmdb.429")
    heartbeats.record_heartbeat("bot", "here", "polls")

    def refuse(counts):
        raise DatabaseError("away")

    with monkeypatch.context() as broken:
        broken.setattr(metrics, "_add", refuse)
        with pytest.raises(DatabaseError):
            metrics.flush()
    metrics.flush()
    assert counted("tmdb.429") == 1
    assert Heartbeat.objects.get(kind="bot").doing == "polls"


def test_requests_and_refusals_of_both_services_are_counted(sandbox):
    busy = {"Retry-After": "1"}
    sandbox.faults.add("/3/movie/604", response=Response.json({"status_code": 25}, status=429, **busy))
    TMDb(background=False).movie(603)
    with pytest.raises(Unavailable):
        TMDb(background=False).movie(604)
    refusal = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 9}}
    sandbox.faults.add("/getMe", response=Response.json(refusal, status=429))
    with max_retry_wait(0), pytest.raises(ApiTelegramException):
        bot.get_me()
    bot.get_me()
    metrics.flush()
    assert (counted("tmdb.requests"), counted("tmdb.429")) == (2, 1)
    assert (counted("telegram.requests"), counted("telegram.429")) == (2, 1)


def test_failures_are_counted_by_cause_whatever_film_they_met():
    for path in ("/w500/a1.jpg", "/w500/Zb2.png"):
        metrics.count_failure("posters", f"TMDb has no such image ({path}: 404)")
    metrics.flush()
    causes = MetricCount.objects.filter(name__startswith="failed:")
    assert list(causes.values_list("name", "number")) == [("failed:posters:TMDb has no such image (404)", 2)]


def test_a_cause_without_its_numbers_is_still_a_sentence():
    for size in ("12000 × 9000", "10001 × 15000"):
        metrics.count_failure("posters", f"{size} pixels are too many")
    metrics.flush()
    causes = MetricCount.objects.filter(name__startswith="failed:")
    assert list(causes.values_list("name", "number")) == [("failed:posters:… × … pixels are too many", 2)]


def test_a_process_that_is_there_says_so_again_and_at_what(monkeypatch):
    heartbeats.start_heartbeat("worker", "here 1", "posters.tasks.upload_posters")
    metrics.flush()
    first = Heartbeat.objects.get(kind="worker")
    assert first.doing == "posters.tasks.upload_posters"
    metrics.flush()
    assert Heartbeat.objects.get(kind="worker").seen_at == first.seen_at  # no need yet
    now = time.time() + heartbeats.HEARTBEAT_INTERVAL_SECONDS + 1
    monkeypatch.setattr(heartbeats.time, "time", lambda: now)
    metrics.flush()
    assert Heartbeat.objects.get(kind="worker").seen_at == pytest.approx(now)


def test_workers_that_were_replaced_and_old_counts_are_forgotten():
    long_ago = time.time() - 3 * 86_400
    Heartbeat.objects.create(kind="worker", name=f"{heartbeats.HOST} kinoteka 1", seen_at=time.time() - 300)
    Heartbeat.objects.create(kind="worker", name="another-machine kinoteka 1", seen_at=time.time() - 300)
    MetricCount.objects.create(name="tmdb.requests", minute=int(long_ago), number=5)
    heartbeats.start_heartbeat("worker", f"{heartbeats.HOST} kinoteka 2")
    metrics.flush()
    names = set(Heartbeat.objects.values_list("name", flat=True))
    assert names == {f"{heartbeats.HOST} kinoteka 2", "another-machine kinoteka 1"}
    assert not MetricCount.objects.exists()


def test_a_schedule_says_when_it_ran_and_how_it_ended():
    token = "5e55105e55105e55105e55105e55105e55105e55"
    heartbeats.on_schedule_finished(task={"group": "upload posters", "success": True, "result": "3 uploaded"})
    heartbeats.on_schedule_finished(
        task={"group": "read film details", "success": False, "result": f"Traceback\nError: {token}"}
    )
    metrics.flush()
    said = dict(Heartbeat.objects.filter(kind="schedule").values_list("name", "doing"))
    assert said == {"upload posters": "3 uploaded", "read film details": "failed: Error: ***"}


@pytest.mark.django_db(transaction=True)
def test_a_real_cluster_and_its_schedules_record_heartbeats_of_life(start):
    cluster = start("qcluster", METRICS_FLUSH_SECONDS="0.2", Q_WORKERS="1")
    async_task("users.tasks.revoke_sessions", group="revoke sessions")
    kinds = wait_until(
        lambda: {"worker", "schedule"} <= set(Heartbeat.objects.values_list("kind", flat=True)),
        explain=lambda: cluster.output,
    )
    assert kinds


@pytest.mark.django_db(transaction=True)
def test_a_real_bot_records_heartbeats(start, sandbox):
    process = start("runbot", METRICS_FLUSH_SECONDS="0.2")
    sandbox.telegram.person("Анна").send("/help")
    wait_until(lambda: Heartbeat.objects.filter(kind="bot").exists(), explain=lambda: process.output)
    wait_until(lambda: counted("telegram.requests"), explain=lambda: process.output)


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "while the commit is answered"])
def test_nothing_is_counted_twice_when_writing_fails_half_way(monkeypatch, committed):
    metrics.increment("telegram.requests", 7)

    class Broken(transaction.Atomic):
        def __exit__(self, *exception):
            super().__exit__(*exception)
            raise OperationalError("the connection was lost")

    def fail(*arguments):
        raise OperationalError("the connection was lost")

    with monkeypatch.context() as patched:
        if committed:
            patched.setattr(metrics.transaction, "atomic", lambda: Broken(None, True, False))
        else:
            patched.setattr(metrics, "_add", fail)
        with pytest.raises(OperationalError):
            metrics.flush()
    metrics.flush()
    assert set(MetricCount.objects.values_list("number", flat=True)) == {7}


def test_what_was_written_counts_once_when_what_follows_fails(monkeypatch):
    metrics.increment("telegram.requests", 7)

    def fail():
        raise OperationalError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(metrics, "on_flush", [fail])
        with pytest.raises(OperationalError):
            metrics.flush()
    metrics.flush()
    assert set(MetricCount.objects.values_list("number", flat=True)) == {7}
