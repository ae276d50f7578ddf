"""Several clusters and web processes against one PostgreSQL and one Redis, killed, cut off and emptied under load."""

import secrets
import time
from collections import Counter
from datetime import timedelta
from itertools import count

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from django_q.models import Schedule, Task

from config.jobs.enqueue import async_task
from config.jobs.schedules import SCHEDULES, sync_schedules
from config.models import Update
from movies.models import Movie, PosterStatus
from tests.config.bot.test_webhook import MARK, Web
from tests.conftest import wait_until
from tests.helpers.imports import at_tmdb, linked, rate, table_of
from tests.helpers.servers import Postgres, Redis
from tests.helpers.updates import message
from users.models import SyncStatus, User

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql" or not django_settings.REDIS_URL, reason="for PostgreSQL and Redis"
    ),
]


@pytest.fixture(scope="module")
def own_servers():
    """A PostgreSQL, with our tables in its database `postgres`, and a Redis: the tests here do their worst to them."""
    with Postgres() as postgres, Redis() as own_redis:
        postgres.migrate()
        yield postgres, own_redis


@pytest.fixture
def servers(own_servers, transactional_db, settings, monkeypatch):
    """The two servers; all that the test and its processes write goes there, into a database of this test's own."""
    postgres, own_redis = own_servers
    own_redis.client.flushall()
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(postgres.url, dbname="template1", autocommit=True) as maintenance:
        maintenance.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
    usual = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT=postgres.port, USER=postgres.user, PASSWORD="", NAME=name)
    settings.REDIS_URL = own_redis.url
    monkeypatch.setattr("django_q.conf.Conf.REDIS", own_redis.url)
    yield postgres, own_redis
    connection.close()
    connection.settings_dict.update(usual)


@pytest.fixture
def users(sandbox):
    """Six people with sixty ratings each, who wait for their import."""
    films = list(sandbox.tmdb.films)[:120]
    people = []
    for n in range(6):
        user = linked(sandbox, sandbox.telegram.person(f"Зритель {n}"), f"viewer{n}")
        rate(user.account, films[n * 12 : n * 12 + 60])
        people.append(user)
    return people


def all_is_in(sandbox, users):
    return (
        not User.objects.exclude(sync_status=SyncStatus.IMPORTED).exists()
        and all(table_of(user) == at_tmdb(user.account) for user in users)
        and not Movie.objects.filter(ratings__isnull=False).exclude(poster_status=PosterStatus.TELEGRAM).exists()
    )


def state_of(users, processes):
    people = Counter(User.objects.values_list("sync_status", flat=True))
    films = Counter(Movie.objects.values_list("poster_status", flat=True))
    return f"{people} {films}\n" + "\n---\n".join(process.output[-3000:] for process in processes)


class Activity:
    """Everybody asks for help, again and again; each question is to have one answer."""

    def __init__(self, sandbox, people):
        self.sandbox, self.people = sandbox, people
        self.questions = len(people)  # each has sent /start

    def ask(self):
        for user in self.people:
            user.person.send("/help")
        self.questions += len(self.people)

    @property
    def answers(self):
        """Helps and, where the database was away just then, requests to try again."""
        said = [
            call.params.get("text", "") for call in self.sandbox.telegram.calls_of("sendMessage") if call.status == 200
        ]
        return sum(MARK in text or "Попробуйте" in text for text in said)


def test_kills_restarts_and_an_emptied_redis_lose_and_double_nothing(servers, sandbox, start, environment, users):
    postgres, own_redis = servers
    sync_schedules()
    Schedule.objects.update(next_run=timezone.now())
    sandbox.tmdb.latency = sandbox.telegram.latency = 0.03
    web = Web({**environment, "WEB_CONCURRENCY": "2", "DATABASE_POOL": "5"})
    variables = {name: value for name, value in web.environment.items() if "WEBHOOK" in name}
    clusters = [start("qcluster", Q_WORKERS="2", **variables) for _cluster in range(2)]
    assert start("set_webhook", **variables).wait() == 0
    people = Activity(sandbox, users)
    for job in ("ratings.tasks.import_ratings", "posters.tasks.download_posters"):
        async_task(job)  # rather than wait half a minute for the clock

    def state():
        pending = Update.objects.filter(state__lt=Update.State.HANDLED)
        open_ = list(pending.values_list("update_id", "state", "attempts"))
        asked = (
            f"{people.questions} questions, {people.answers} answers, {Update.objects.count()} updates, open {open_}"
        )
        return asked + state_of(users, [*clusters, web.process])

    try:
        wait_until(lambda: len(sandbox.tmdb.requests) > 60, 60, state)
        people.ask()
        clusters[0].kill()
        people.ask()
        own_redis.client.flushall()
        people.ask()
        wait_until(lambda: len(sandbox.telegram.photos) > 10, 90, state)
        clusters[0] = start("qcluster", Q_WORKERS="2", **variables)
        people.ask()
        postgres.restart(away=2)
        connection.close()  # this test's own has gone, too
        people.ask()
        wait_until(lambda: people.answers == people.questions, 60, state)
        own_redis.restart(away=2)
        people.ask()
        clusters[1].kill()
        postgres.restart(signum=Postgres.crash)
        connection.close()
        people.ask()
        wait_until(lambda: all_is_in(sandbox, users), 150, state)
        people.ask()
        wait_until(lambda: not Update.objects.filter(state__lt=Update.State.HANDLED).exists(), 60, state)
        wait_until(lambda: people.answers >= people.questions, 60, state)
    finally:
        web.process.kill()
    assert people.answers == people.questions == Update.objects.count(), state()
    kept = set(Movie.objects.filter(telegram_file_id__gt="").values_list("telegram_file_id", flat=True))
    assert kept <= {photo.file_id for photo in sandbox.telegram.photos}
    # a cluster that is killed, or cut off, while its upload is under way does not know the answer: that one goes twice
    assert len(sandbox.telegram.photos) - len(kept) <= 4


def test_a_polling_bot_and_a_web_with_few_connections_go_on_by_themselves(servers, sandbox, start, environment):
    postgres, own_redis = servers
    films = iter(sandbox.tmdb.films)
    anna = sandbox.telegram.person("Анна")
    few = {"DATABASE_POOL": "3", "TMDB_REQUESTS_PER_SECOND": "1000"}  # the limit is kept in Redis
    bot, web = start("runbot", **few), Web({**environment, **few})
    numbers = count(1)

    def cards():
        return len(sandbox.telegram.calls_of("sendPhoto"))

    def answered(ask):
        """Ask for one new film after another until a card comes."""
        before = cards()

        def one_more():
            ask(f"/movie {next(films)}")
            return sandbox.telegram.wait_until(lambda: cards() > before, 3)

        wait_until(one_more, 60, lambda: f"{bot.output[-5000:]}\n---\n{web.process.output[-5000:]}")

    def by_webhook(text):
        web.post(message(next(numbers), text, anna.id))

    try:
        answered(anna.send), answered(by_webhook)
        for restart in (
            lambda: postgres.restart(away=3),
            lambda: own_redis.restart(away=3),
            lambda: postgres.restart(signum=Postgres.crash),
        ):
            restart()
            answered(anna.send), answered(by_webhook)
    finally:
        web.process.kill()
        connection.close()


def test_schedules_run_once_however_many_clusters_there_are(sandbox, start):
    sync_schedules()
    long_ago = timezone.now() - timedelta(hours=5)
    Schedule.objects.update(next_run=long_ago, schedule_type=Schedule.HOURLY, minutes=None)
    clusters = [start("qcluster", Q_WORKERS="1") for _cluster in range(3)]
    wait_until(
        lambda: set(SCHEDULES) <= set(Task.objects.values_list("group", flat=True)), 90, lambda: clusters[0].output
    )
    time.sleep(3)  # for one that would come a second time
    runs = Counter(Task.objects.filter(group__in=SCHEDULES).values_list("group", flat=True))
    assert set(runs.values()) == {1}, runs


def test_a_limit_holds_over_all_processes(sandbox, start, users):
    """Two importers beside each other, at most thirty requests a second together."""
    commands = [start("import_ratings", "--user", str(user.pk), TMDB_REQUESTS_PER_SECOND="30") for user in users[:3]]
    assert [command.wait(90) for command in commands] == [0, 0, 0], commands[0].output
    moments = sorted(request.at for request in sandbox.tmdb.requests if request.path.startswith("/3/"))
    busiest = max(sum(1 for other in moments if at <= other < at + 1) for at in moments)
    assert busiest <= 33
