"""The clock is set back or ahead, by hours or a day: everything goes on within a minute."""

import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.cache import caches
from django.utils import timezone
from django_q.models import OrmQ, Schedule

import posters.tasks
import ratings.tasks
import users.tasks
from config.admin import login_throttle
from config.database import redis_client
from config.jobs import locks, rate_limiter
from config.jobs.schedules import bring_forward, sync_schedules
from config.models import Heartbeat, Lease
from config.monitoring import health, heartbeats, metrics
from movies.models import NEVER, Movie
from movies.tmdb import TMDb
from posters import pipeline
from ratings.files.importer import postpone, receive
from ratings.models import Import, PendingWrite, Rating
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.outbox import claim
from ratings.tmdb_sync.user_import import begin
from tests.helpers.imports import know, linked
from tests.helpers.posters import film, films, sent
from users.disconnect import revoke
from users.models import SessionToRevoke, SyncStatus, User, encrypt

HOUR, DAY = 3600, 86_400
pytestmark = pytest.mark.django_db(transaction=True)

jumps = pytest.mark.parametrize("seconds", [-DAY, -2 * HOUR, -90, 2 * HOUR, DAY], ids=lambda s: f"{s / HOUR:+g}h")


@jumps
def test_a_rate_limit_goes_on_when_the_clock_jumps(clock, seconds):
    for _slot in range(3):
        rate_limiter._take("tmdb", 10, reserve=True)
    clock.jump(seconds)
    assert rate_limiter.try_acquire("tmdb", 1 / 10) == 0
    assert rate_limiter.try_acquire("tmdb", 1 / 10) == pytest.approx(10, abs=1), "the limit holds as before"


@jumps
def test_a_block_ends_early_rather_than_never_when_the_clock_jumps(clock, seconds):
    rate_limiter.block_for("channel:1", 60)
    clock.jump(seconds)
    assert rate_limiter.try_acquire("channel:1", 1) == 0
    rate_limiter.block_for("channel:1", 1800)
    assert rate_limiter.try_acquire("channel:1", 1) == pytest.approx(1800, abs=60)


def test_a_user_does_not_wait_for_slots_from_before_the_clock_was_set_back(clock):
    rate_limiter.acquire("tmdb", 1000, priority=True)
    clock.jump(-DAY)
    assert rate_limiter._take("tmdb", 1 / 1000, reserve=True) < 1


def test_a_slot_far_ahead_whose_writing_is_unknown_counts_as_free(clock):
    """As an earlier version has left it."""
    later = f"{4e9:.6f}"
    if settings.REDIS_URL:
        redis_client().set("rate_limit:tmdb", later)
    else:
        rate_limiter.RateLimit.objects.create(name="tmdb", next_at=float(later))
    assert rate_limiter.try_acquire("tmdb", 1) == 0


@jumps
def test_the_lease_of_a_dead_process_is_free_when_the_clock_jumps(clock, seconds):
    assert locks._acquire("posters.download", "a process that dies")
    assert locks.is_locked("posters.download")
    clock.jump(seconds)
    assert not locks.is_locked("posters.download")
    with locks.lock("posters.download") as free:
        assert free
        assert locks.is_locked("posters.download")
    assert not Lease.objects.exists()


@jumps
def test_a_lease_is_renewed_when_the_clock_jumps(clock, seconds):
    assert locks._acquire("ratings.import", "a living process")
    clock.jump(seconds)
    assert locks._acquire("ratings.import", "a living process")
    with locks.lock("ratings.import") as free:
        assert not free


@jumps
def test_what_a_cache_was_to_keep_for_seconds_is_not_kept_for_hours(clock, seconds):
    for cache in (caches["default"], caches["local"]):
        cache.clear()
        cache.set("counts", {1: 2}, 30)
        assert cache.get("counts") == cache.get_many(["counts"])["counts"] == {1: 2}
        assert cache.add("requested", True, 30)
        assert not cache.add("requested", True, 30)
        clock.jump(seconds)
        if not (settings.REDIS_URL and seconds > 0):  # Redis' own clock has not moved
            assert cache.get("counts", "none") == "none"
            assert not cache.get_many(["counts"])
            assert cache.add("requested", True, 30)
        cache.clear()


# --- What waits in tables for a moment

days = pytest.mark.parametrize("seconds", [-DAY, -2 * HOUR, DAY], ids=lambda s: f"{s / HOUR:+g}h")


@days
def test_posters_go_on_those_of_a_dead_worker_too(clock, sandbox, poster_dir, seconds):
    dead, tried, new = films(sandbox, 3)
    assert [movie.pk for movie in pipeline._claim(Movie.objects.filter(pk=dead.pk), 1)] == [dead.pk]
    pipeline._claim(Movie.objects.filter(pk=tried.pk), 1)
    pipeline._retry_later(Movie.objects.get(pk=tried.pk), "no answer")
    failed = film(sandbox, 603, poster_next_try_at=NEVER, poster_error="no picture")
    clock.jump(seconds)
    posters.tasks.download_posters()
    posters.tasks.upload_posters()
    assert sorted(sent(sandbox)) == [dead.pk, tried.pk, new.pk]
    assert Movie.objects.get(pk=failed.pk).poster_next_try_at == NEVER


def test_the_delays_of_posters_hold_where_the_clock_stays(clock, sandbox, poster_dir):
    claimed, again, later = films(sandbox, 3)
    for movie, attempts in ((claimed, 0), (again, 1), (later, 3)):
        Movie.objects.filter(pk=movie.pk).update(poster_attempts=attempts)
        pipeline._claim(Movie.objects.filter(pk=movie.pk), 1)
    pipeline._retry_later(Movie.objects.get(pk=again.pk), "no answer")
    pipeline._retry_later(Movie.objects.get(pk=later.pk), "no answer")
    assert not Movie.objects.awaiting_download().exists()
    clock.jump(301)
    assert set(Movie.objects.awaiting_download()) == {claimed, again}


@days
def test_ratings_files_imports_and_sessions_go_on(clock, sandbox, anna, seconds):
    know([603])
    user = linked(sandbox, anna, "anna")
    begin(user)
    Import.objects.update(next_try_at=int(time.time()) + limits.RETRY_IMPORT_SECONDS)
    document = anna.send_document("r.csv", b"tmdbID,Rating10\n603,9\n", "text/csv")
    postpone(receive(user, document.document.file_id))
    revoke(SessionToRevoke.objects.create(session_id=encrypt("x" * 40)), TMDb())
    SessionToRevoke.objects.update(attempts=5, next_try_at=int(time.time()) + 60 * 2**4)
    clock.jump(seconds)
    ratings.tasks.import_ratings()
    ratings.tasks.import_files()
    assert User.objects.get().sync_status == SyncStatus.IMPORTED
    assert Rating.objects.get().value == 9
    for write in PendingWrite.objects.all():
        claim(write)
    clock.jump(seconds)
    ratings.tasks.write_ratings()
    assert user.account.ratings == {603: 9}
    users.tasks.revoke_sessions()
    assert not SessionToRevoke.objects.exists()


@days
def test_schedules_and_waiting_jobs_go_on(clock, seconds):
    sync_schedules()
    Schedule.objects.update(next_run=timezone.now() + timedelta(seconds=20))
    waiting = OrmQ.objects.create(key=settings.Q_CLUSTER["name"], payload="a job", lock=timezone.now())
    clock.jump(seconds)
    bring_forward(settings.Q_CLUSTER["name"])
    clock.jump(45)
    assert not Schedule.objects.filter(minutes__lte=60, next_run__gt=timezone.now()).exists(), "a daily one may wait"
    waiting.refresh_from_db()
    assert waiting.lock <= timezone.now()


def test_schedules_keep_their_times_where_the_clock_stays(clock):
    sync_schedules()
    Schedule.objects.exclude(minutes=1).update(next_run=timezone.now() + timedelta(minutes=5))
    before = dict(Schedule.objects.exclude(minutes=1).values_list("name", "next_run"))
    bring_forward(settings.Q_CLUSTER["name"])
    assert dict(Schedule.objects.exclude(minutes=1).values_list("name", "next_run")) == before


@jumps
def test_heartbeats_are_written_and_dead_processes_noticed_when_the_clock_jumps(clock, seconds):
    Heartbeat.objects.create(kind="bot", name=f"{heartbeats.HOST} 1", seen_at=time.time())
    heartbeats.start_heartbeat("worker", f"{heartbeats.HOST} kinoteka 2")
    metrics.flush()
    clock.jump(seconds)
    metrics.flush()
    components = health.check_heartbeats()
    assert components["bot"]["stale"]
    assert not components["worker"]["stale"]


@days
def test_a_lockout_is_no_longer_when_the_clock_jumps(clock, seconds):
    attempt = login_throttle.Attempt("olga", "10.0.0.1")
    assert [attempt.begin() for _failure in range(5)] == [0] * 5
    assert 0 < attempt.begin() <= 900
    clock.jump(seconds)
    assert attempt.begin() == 0
