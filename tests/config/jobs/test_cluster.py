"""Jobs in one cluster or in several, and few database connections for many threads."""

from functools import partial

import pytest
from django.db import connection
from django_q.models import Schedule

from config.jobs.enqueue import async_task, cluster_for
from config.jobs.schedules import SCHEDULES, sync_schedules
from movies.models import Movie, PosterStatus
from sandbox.http_server import Response
from tests.config.bot.test_webhook import Web, sent
from tests.conftest import wait_until
from tests.helpers.imports import linked, rate
from tests.helpers.updates import at_once, message

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_plain_cluster_does_every_job(settings):
    settings.Q_CLUSTERS = False
    sync_schedules()
    assert {cluster_for(func) for func, minutes in SCHEDULES.values()} == {None}
    assert set(Schedule.objects.values_list("cluster", flat=True)) == {None}


def test_clusters_of_their_own_get_imports_and_posters(settings):
    settings.Q_CLUSTERS = True
    sync_schedules()
    where = dict(Schedule.objects.values_list("name", "cluster"))
    assert where["import ratings"] == "imports"
    assert where["download posters"] == where["upload posters"] == "posters"
    assert where["resume interrupted updates"] == "kinoteka"
    settings.Q_CLUSTERS = False
    sync_schedules()
    assert set(Schedule.objects.values_list("cluster", flat=True)) == {None}


def test_every_module_of_tasks_is_loaded_before_the_workers_are_forked(start):
    show = (
        "import sys; from config.jobs import cluster; running = cluster.Cluster();"
        "cluster._run_sentinel = lambda *args: None; running.start(); running.sentinel.join();"
        "print('loaded:', sorted(name for name in sys.modules if name.endswith('.tasks')))"
    )
    shell = start("shell", "--verbosity", "0", "-c", show)
    assert shell.wait() == 0, shell.output
    shell.wait_for_line("loaded: ")
    for module in ("config.jobs", "movies", "posters", "ratings", "users"):
        assert f"'{module}.tasks'" in shell.output


def test_a_poster_does_not_wait_for_an_import_that_hangs(sandbox, start, settings):
    """Each cluster has one worker, and TMDb keeps that of the imports waiting."""
    boris = linked(sandbox, sandbox.telegram.person("Борис"), "boris")
    film = next(iter(sandbox.tmdb.films.values()))
    rate(boris.account, [film.id])
    hanging = sandbox.faults.add(r"/rated/movies", times=None, delay=300, response=Response(503))
    settings.Q_CLUSTERS = True
    workers = [start("qcluster", Q_CLUSTERS="1", Q_WORKERS="1", Q_CLUSTER_NAME=name) for name in ("imports", "posters")]
    async_task("ratings.tasks.import_ratings")
    wait_until(lambda: hanging.seen, 60, lambda: workers[0].output)
    Movie.objects.create(id=film.id, poster_path=film.poster_path, poster_status=PosterStatus.WAITING)
    async_task("posters.tasks.download_posters")
    wait_until(
        lambda: Movie.objects.get(pk=film.id).poster_status == PosterStatus.TELEGRAM, 120, lambda: workers[1].output
    )
    assert "import_ratings" not in workers[1].output


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite needs no pool")
def test_many_threads_share_a_few_connections_because_none_holds_one_while_telegram_answers(
    sandbox, environment, settings
):
    people = [sandbox.telegram.person(f"Зритель {n}") for n in range(24)]
    url = environment["DATABASE_URL"] + "?application_name=pooled"
    web = Web({**environment, "DATABASE_URL": url, "DATABASE_POOL": "3", "BOT_THREADS": "24"})
    sandbox.telegram.latency = 0.5
    try:
        answers = at_once([partial(web.post, message(n, "/help", person.id)) for n, person in enumerate(people)])
        connections = []

        def all_answered():
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pooled'")
                connections.append(cursor.fetchone()[0])
            return len(sent(sandbox)) == len(people)

        wait_until(all_answered, explain=lambda: web.process.output)
    finally:
        web.process.kill()
    assert {answer.status_code for answer in answers} == {200}
    assert 1 <= max(connections) <= 3
