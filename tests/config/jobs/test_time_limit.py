"""Every job ends within 240 seconds, whatever it asks for hangs, and looks at the stop event."""

import importlib
import inspect
import threading
import time

import pytest
from django.conf import settings

from config.jobs import enqueue
from config.jobs.rate_limiter import acquire, block_for
from config.jobs.run import Run
from config.jobs.schedules import SCHEDULES
from config.jobs.time_limit import JOB_SECONDS, seconds_left, time_limit
from movies import request_pool
from movies.details import DetailsWorker
from movies.models import Movie
from movies.tmdb import MAX_RETRY_AFTER_SECONDS, TMDb, Unavailable
from posters.tasks import MAX_RUN_SECONDS
from ratings.files.matching import Matcher
from ratings.files.parser import Row
from ratings.recommendations import training_process
from ratings.tasks import fetch_most_voted_movies
from users.models import SessionToRevoke, encrypt
from users.tasks import revoke_sessions

pytestmark = pytest.mark.django_db

# Bounded in ways of their own: by a process's timeout, a bound of the engine's, or because they ask nobody
OTHERS = {"train_recommendations", "build_recommendations", "recover_updates", "delete_old_records"}
HANGS_SECONDS = 20


def jobs():
    for app in ("config.jobs", "movies", "posters", "ratings", "users"):
        module = importlib.import_module(f"{app}.tasks")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and name not in OTHERS:
                yield f"{app}.tasks.{name}", function


def test_every_job_has_a_time_limit():
    limited = {path for path, function in jobs() if hasattr(function, "__wrapped__")}
    scheduled = {function for function, _minutes in SCHEDULES.values()}
    assert scheduled - limited <= {path for path in scheduled if path.rpartition(".")[2] in OTHERS}
    assert JOB_SECONDS + MAX_RETRY_AFTER_SECONDS + sum(TMDb(background=False).timeout) <= 240
    longest_download = 2 * 2.5 * 20  # two attempts, whose answer may trickle
    assert MAX_RUN_SECONDS + longest_download <= 240


def test_a_request_that_hangs_ends_with_the_job_and_none_is_made_after_it(sandbox, monkeypatch):
    sandbox.tmdb.fail("^/3/movie/", delay=HANGS_SECONDS, times=None)
    monkeypatch.setattr(request_pool, "DRAIN_SECONDS", 0.1)
    Movie.objects.bulk_create(Movie(pk=pk, title="x") for pk in (603, 604, 605))
    began = time.monotonic()
    with time_limit(1):
        run = DetailsWorker(Run(seconds=1)).work()
        assert seconds_left() < 0
        with pytest.raises(Unavailable, match="over"):
            TMDb().movie(603)
    assert time.monotonic() < began + HANGS_SECONDS / 2
    assert run.done == 0
    assert len(sandbox.tmdb.requests_of("/3/movie/603")) <= 1


def test_the_threads_of_a_file_end_with_the_job(sandbox):
    sandbox.tmdb.fail("^/3/", delay=HANGS_SECONDS, times=None)
    began = time.monotonic()
    with time_limit(1), pytest.raises(Unavailable):
        Matcher().match([Row(tmdb_id=603), Row(tmdb_id=604)])
    assert time.monotonic() < began + HANGS_SECONDS / 2


def test_a_job_does_not_wait_for_a_slot_beyond_its_time():
    block_for("tmdb", 60)
    began = time.monotonic()
    with time_limit(0.5):
        acquire("tmdb", 50)
    assert 0.4 < time.monotonic() - began < 10


def test_a_limit_within_another_is_no_longer_than_it():
    with time_limit(10), time_limit(100):
        assert seconds_left() <= 10


def test_a_job_that_is_told_to_stop_asks_no_more(sandbox, monkeypatch):
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr(enqueue, "_stop_event", stop)
    SessionToRevoke.objects.create(session_id=encrypt("x" * 40))
    assert revoke_sessions() == "0 ended"
    assert fetch_most_voted_movies() == "0 found"
    assert not sandbox.tmdb.requests


def test_a_training_is_not_given_out_again_while_it_runs():
    assert settings.Q_CLUSTER["retry"] > training_process.TIMEOUT_SECONDS + 4 * settings.Q_CLUSTER["timeout"]
