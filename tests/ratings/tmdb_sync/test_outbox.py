"""Many ratings wait for TMDb: they are written several at once, and one person's do not hold up another's."""

import threading

import pytest

from ratings.models import PendingWrite, Rating
from ratings.rate import rate
from ratings.tasks import write_ratings
from ratings.tmdb_sync import sending
from tests.helpers.imports import at_tmdb, know, linked
from tests.helpers.waiting import wait_until
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)
FILMS = range(1_000_000, 1_000_060)


@pytest.fixture
def films(sandbox):
    sandbox.tmdb.add_films(len(FILMS), start=FILMS[0])
    know(FILMS)
    return FILMS


@pytest.fixture
def anna(sandbox):
    return viewer(sandbox, "Анна")


def viewer(sandbox, name):
    user = linked(sandbox, sandbox.telegram.person(name), name)
    User.objects.filter(pk=user.pk).update(sync_status=SyncStatus.IMPORTED)
    user.refresh_from_db()
    return user


def rate_all(user, films, value=8):
    for film in films:
        rate(user, film, value)
    return dict.fromkeys(films, value)


def written(sandbox):
    """The films whose ratings TMDb has been sent, in the order they came."""
    return [int(seen.path.split("/")[3]) for seen in sandbox.tmdb.requests if seen.path.endswith("/rating")]


def test_slow_answers_are_waited_for_side_by_side_within_the_connections_there_are(sandbox, films, anna):
    rated = rate_all(anna, films)
    sandbox.tmdb.latency = 0.5  # longer than a slow machine takes to write down an answer
    sandbox.tmdb.forget_requests()
    assert write_ratings() == "60 written"
    assert at_tmdb(anna.account) == rated
    assert sorted(written(sandbox)) == list(films), "each is sent once"
    assert sending.THREADS_BESIDE_IMPORT < sandbox.tmdb.peak_in_flight <= sending.THREADS
    assert not PendingWrite.objects.exists()
    assert not Rating.objects.exclude(tmdb_rating=8).exists()


def test_a_film_that_tmdb_fails_at_holds_up_no_other(sandbox, films, anna):
    rate_all(anna, films)
    sandbox.tmdb.fail(f"/3/movie/{films[0]}/rating", 500, times=None)
    assert write_ratings() == "59 written"
    assert PendingWrite.objects.get().movie_id == films[0]


def test_while_tmdb_is_away_only_a_few_are_tried(sandbox, films, anna):
    rate_all(anna, films)
    sandbox.tmdb.fail("/rating$", 503, times=None)
    assert write_ratings() == "0 written"
    assert 0 < PendingWrite.objects.filter(attempts__gt=0).count() <= 4
    sandbox.faults.clear()
    PendingWrite.objects.update(next_try_at=0)
    assert write_ratings() == "60 written"


def test_who_has_one_rating_does_not_wait_for_who_has_many(sandbox, films, anna, monkeypatch):
    boris = viewer(sandbox, "Борис")
    rate_all(anna, films)
    rate(boris, films[0], 5)
    monkeypatch.setattr(sending, "TURN_SECONDS", 0.1)
    sandbox.tmdb.latency = 0.05
    sandbox.tmdb.forget_requests()
    assert write_ratings() == "61 written"
    bodies = [seen.body for seen in sandbox.tmdb.requests if seen.path.endswith("/rating")]
    assert bodies.index(b'{"value": 5.0}') < 15


def test_a_tap_while_the_same_film_is_being_written_comes_last(sandbox, films, anna):
    rate_all(anna, films)
    sandbox.tmdb.fail(f"/3/movie/{films[20]}/rating", delay=0.5)
    writing = threading.Thread(target=write_and_hang_up)
    writing.start()
    wait_until(lambda: PendingWrite.objects.filter(movie_id=films[20], attempts=1).exists())
    rate(anna, films[20], 3)
    writing.join()
    assert at_tmdb(anna.account) == dict.fromkeys(films, 8) | {films[20]: 3}
    assert not PendingWrite.objects.exists()


def test_when_the_session_ends_nothing_more_is_sent(sandbox, films, anna):
    rate_all(anna, films)
    sandbox.tmdb.revoke(anna.account)
    sandbox.tmdb.forget_requests()
    assert write_ratings() == "0 written"
    assert len(written(sandbox)) == 1
    assert PendingWrite.objects.count() == 60
    assert User.objects.get(pk=anna.pk).sync_status == SyncStatus.FAILED


def write_and_hang_up():
    from django.db import connections

    write_ratings()
    connections.close_all()
