"""Several clusters and web processes against one PostgreSQL and one Redis, killed, cut off and emptied under load."""

import time
from collections import Counter
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from django_q.models import Schedule, Task

from config.models import Update
from config.schedules import CLOCK, write_schedules
from config.turns import redis_client
from movies.models import Movie, PosterStatus
from tests.conftest import wait_until
from tests.imports import at_tmdb, linked, rate, table_of
from tests.test_webhook import Web
from users.models import SyncStatus, User

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql" or not django_settings.REDIS_URL, reason="for PostgreSQL and Redis"
    ),
]


def cut_every_connection():
    """What a restart of PostgreSQL does to everybody but us."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def crowd(sandbox):
    """Six people with sixty ratings each, who wait for their import."""
    films = list(sandbox.tmdb.films)[:120]
    people = []
    for n in range(6):
        user = linked(sandbox, sandbox.telegram.person(f"Зритель {n}"), f"viewer{n}")
        rate(user.account, films[n * 12 : n * 12 + 60])
        people.append(user)
    return people


def all_is_in(sandbox, crowd):
    return (
        not User.objects.exclude(sync_status=SyncStatus.IMPORTED).exists()
        and all(table_of(user) == at_tmdb(user.account) for user in crowd)
        and Movie.objects.count() == 120
        and not Movie.objects.exclude(poster_status=PosterStatus.TELEGRAM).exists()
    )


def state_of(crowd, processes):
    people = Counter(User.objects.values_list("sync_status", flat=True))
    films = Counter(Movie.objects.values_list("poster_status", flat=True))
    return f"{people} {films}\n" + "\n---\n".join(process.output[-3000:] for process in processes)


def test_kills_cut_connections_and_an_emptied_redis_lose_and_double_nothing(sandbox, start, environment, crowd):
    write_schedules()
    Schedule.objects.update(next_run=timezone.now())
    sandbox.tmdb.latency = sandbox.telegram.latency = 0.03
    web = Web(environment)
    variables = {name: value for name, value in web.environment.items() if "WEBHOOK" in name}
    clusters = [start("qcluster", Q_WORKERS="2", **variables) for _cluster in range(2)]
    assert start("set_webhook", **variables).wait() == 0
    sandbox.telegram.calls.clear()
    questions = 0

    def everybody_asks():
        nonlocal questions
        questions += len(crowd)
        for user in crowd:
            user.person.send("/help")

    try:
        wait_until(lambda: len(sandbox.tmdb.requests) > 60, 60, lambda: state_of(crowd, clusters))
        everybody_asks()
        clusters[0].kill()
        everybody_asks()
        redis_client().flushdb()
        wait_until(lambda: len(sandbox.telegram.photos) > 10, 90, lambda: state_of(crowd, clusters))
        clusters[0] = start("qcluster", Q_WORKERS="2", **variables)
        everybody_asks()
        cut_every_connection()
        everybody_asks()
        clusters[1].kill()
        wait_until(lambda: all_is_in(sandbox, crowd), 150, lambda: state_of(crowd, clusters))
        everybody_asks()
        wait_until(
            lambda: (
                len(sandbox.telegram.calls_of("sendMessage")) >= questions
                and not Update.objects.exclude(state=Update.State.DONE).exists()
            ),
            60,
            lambda: web.process.output[-5000:],
        )
    finally:
        web.process.kill()
    assert Update.objects.count() == questions
    kept = set(Movie.objects.values_list("telegram_file_id", flat=True))
    assert kept <= {photo.file_id for photo in sandbox.telegram.photos}
    # a cluster that is killed, or cut off, while its upload is under way does not know the answer: that one goes twice
    assert len(sandbox.telegram.photos) - len(kept) <= 4


def test_schedules_run_once_however_many_clusters_there_are(sandbox, start):
    write_schedules()
    long_ago = timezone.now() - timedelta(hours=5)
    Schedule.objects.update(next_run=long_ago, schedule_type=Schedule.HOURLY, minutes=None)
    clusters = [start("qcluster", Q_WORKERS="1") for _cluster in range(3)]
    wait_until(lambda: set(CLOCK) <= set(Task.objects.values_list("group", flat=True)), 90, lambda: clusters[0].output)
    time.sleep(3)  # for one that would come a second time
    runs = Counter(Task.objects.filter(group__in=CLOCK).values_list("group", flat=True))
    assert set(runs.values()) == {1}, runs


def test_a_limit_holds_over_all_processes(sandbox, start, crowd):
    """Two importers beside each other, at most thirty requests a second together."""
    commands = [start("import_ratings", "--user", str(user.pk), TMDB_REQUESTS_PER_SECOND="30") for user in crowd[:3]]
    assert [command.wait(90) for command in commands] == [0, 0, 0], commands[0].output
    moments = sorted(request.at for request in sandbox.tmdb.requests if request.path.startswith("/3/"))
    busiest = max(sum(1 for other in moments if at <= other < at + 1) for at in moments)
    assert busiest <= 33
