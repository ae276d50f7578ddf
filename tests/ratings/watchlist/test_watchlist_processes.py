"""The list and TMDb's, by real processes that are killed."""

import pytest

from config.jobs.enqueue import async_task
from movies.models import Movie
from ratings.models import WatchlistWrite
from ratings.tasks import write_watchlist
from ratings.watchlist.entries import set_wanted
from tests.conftest import leases_run_out, wait_until
from tests.helpers.imports import know, linked, work
from tests.helpers.watchlist import wanted_by
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def films(sandbox):
    films = sandbox.tmdb.add_films(300)
    know(films)
    return films


@pytest.fixture
def anna(sandbox, films):
    user = linked(sandbox, sandbox.telegram.person("Анна"), "anna")
    user.account.want(*films)
    return user


@pytest.mark.parametrize("pages", [1, 8, 16])
def test_kill_9_while_the_watchlist_is_read_loses_and_doubles_nothing(sandbox, anna, films, start, pages):
    sandbox.tmdb.latency = 0.05
    process = start("import_ratings", "--user", str(anna.pk))
    wait_until(lambda: len(sandbox.tmdb.requests_of("/account/*/watchlist/movies")) >= pages)
    process.kill()
    sandbox.tmdb.latency = 0
    leases_run_out()
    work(anna)
    assert anna.sync_status == SyncStatus.IMPORTED
    assert wanted_by(anna.pk) == films
    assert anna.imports.get().watchlist["added"] == len(films)


def test_kill_9_while_a_change_is_sent_sends_it_again(sandbox, anna, films, start):
    work(anna)
    Movie.objects.get_or_create(pk=603, defaults={"title": "The Matrix", "details_at": 1})
    set_wanted(User.objects.get(pk=anna.pk), 603, True)
    set_wanted(User.objects.get(pk=anna.pk), films[0], False)
    sandbox.tmdb.fail(r"/watchlist$", method="POST", delay=30, times=1)
    cluster = start("qcluster")
    async_task("ratings.tasks.write_watchlist", anna.pk)
    wait_until(lambda: WatchlistWrite.objects.filter(attempts=1).exists())
    cluster.kill()
    sandbox.tmdb.faults.clear()
    leases_run_out()
    WatchlistWrite.objects.update(next_try_at=0)
    write_watchlist()
    assert sorted(anna.account.watchlist) == wanted_by(anna.pk) == [603, *films[1:]]
    assert not WatchlistWrite.objects.exists()
