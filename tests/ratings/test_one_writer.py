"""Whoever writes a person's ratings at the same time, the end is as if one came after the other."""

import threading
import time
from decimal import Decimal

import pytest
from django.db import connection, connections

from ratings.files import importer
from ratings.models import PendingWrite, Rating, Source
from ratings.rate import rate, take_back
from ratings.tasks import import_ratings, write_ratings
from tests.helpers.imports import at_tmdb, know, linked
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)
FILMS = range(1_000_000, 1_000_200)
ROUNDS = 3


def at_once(*jobs):
    """Run these side by side, each with a connection of its own; what one raises is raised."""
    failures = []
    together = threading.Barrier(len(jobs))

    def run(job):
        together.wait()
        try:
            job()
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []


def deadlocks():
    """How many the server has counted."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]


def file_of(sandbox, user, films, value):
    """A file with these films, sent to the bot, in an order of its own."""
    lines = "".join(f"{film},{value},{value}\n" for film in films)
    message = user.person.send_document("ratings.csv", f"tmdbID,Exact Rating,Rating10\n{lines}".encode(), "text/csv")
    return importer.receive(user, message.document.file_id)


@pytest.fixture
def anna(sandbox):
    sandbox.tmdb.add_films(len(FILMS), start=FILMS[0])
    know(FILMS)
    return linked(sandbox, sandbox.telegram.person("Анна"), "anna")


def import_file(file):
    while importer.resume(file.pk, 60, threading.Event(), lambda _file: None):
        pass


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_two_files_at_once_leave_every_film_rated_once_by_one_of_them(sandbox, anna, round_):
    before = deadlocks()
    User.objects.filter(pk=anna.pk).update(sync_status=2)
    there, back = file_of(sandbox, anna, FILMS, 7), file_of(sandbox, anna, reversed(FILMS), 9)
    at_once(lambda: import_file(there), lambda: import_file(back))
    for file in (there, back):  # files of one person are read one after the other
        import_file(file)
    ratings = Rating.objects.filter(user=anna)
    assert ratings.count() == len(FILMS)
    assert {rating.value for rating in ratings} <= {Decimal(7), Decimal(9)}
    writes = dict(PendingWrite.objects.values_list("movie_id", "rating"))
    assert writes == {rating.movie_id: rating.manual_rating for rating in ratings}
    assert deadlocks() == before


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_file_in_the_minute_an_account_is_linked_loses_neither(sandbox, anna, round_):
    before = deadlocks()
    for film in FILMS:
        anna.account.rate(film, 8)
    file = file_of(sandbox, anna, FILMS, 3)
    pressed = FILMS[7]

    def press():
        for value in (1, 2, 10):
            rate(User.objects.get(pk=anna.pk), pressed, Decimal(value))
            time.sleep(0.02)
        take_back(User.objects.get(pk=anna.pk), FILMS[9])

    at_once(lambda: import_file(file), import_ratings, press, write_ratings)
    while User.objects.awaiting_import().exists():
        import_ratings()
    write_ratings()
    assert_sound(anna)
    assert deadlocks() == before


def assert_sound(user):
    """Here and at TMDb stands the same, and each row says where it comes from."""
    assert not PendingWrite.objects.exists()
    for rating in Rating.objects.filter(user=user):
        assert (rating.source == Source.MANUAL) == (rating.manual_rating is not None)
        assert rating.tmdb_rating == rating.value
    assert {rating.movie_id: rating.value for rating in Rating.objects.filter(user=user)} == at_tmdb(user.account)
