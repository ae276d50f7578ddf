"""Whatever writes several films at once takes their rows in the order of their ids, so that no two wait for each other.

The lowest row is held here while the writer runs: it must wait for that one with no other row in its hands.
"""

import threading
from concurrent.futures import Future
from functools import partial

import pytest
from django.db import DatabaseError, connection, connections, transaction

from movies import details
from movies.models import Movie, PosterPriority, PosterStatus
from movies.saving import save_movies
from posters import pipeline
from posters.bot_change import handle_bot_change
from posters.models import PosterBot
from ratings.tmdb_sync.engine import import_queued
from ratings.tmdb_sync.merge import save_listed
from tests.helpers.imports import at_tmdb, linked, rate, table_of
from tests.helpers.waiting import wait_until
from users.models import SyncStatus, User

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]

LOWEST, OTHERS = 3, (9, 8, 7, 6, 5)


def from_tmdb(movie_id, **fields):
    return Movie(pk=movie_id, title="New", poster_path="/new.jpg", poster_status=PosterStatus.WAITING, **fields)


def write_details():
    """Of films that somebody looks at, of an import's and of old ones together."""
    priorities = [PosterPriority.ASKED, PosterPriority.SOMEDAY, PosterPriority.IMPORT]
    fetched = [
        (Movie(pk=movie_id, details_priority=priorities[number % 3]), from_tmdb(movie_id, details_at=1))
        for number, movie_id in enumerate((LOWEST, *OTHERS))
    ]
    details._write(fetched)


def save_a_page():
    with transaction.atomic():
        save_listed([from_tmdb(movie_id) for movie_id in (*OTHERS, LOWEST)])


def save_what_a_file_names():
    found = [from_tmdb(movie_id) for movie_id in OTHERS]
    save_movies([*found, from_tmdb(LOWEST, details_at=1)], PosterPriority.IMPORT)


def claimed():
    """The films as a worker of the posters has claimed them."""
    return [Movie(pk=id, poster_status=0, poster_path=f"/{id}.jpg", poster_attempts=1) for id in (*OTHERS, LOWEST)]


def release_downloads():
    pipeline._release_all(claimed())


def save_downloads():
    done: Future[str] = Future()
    done.set_result("/nowhere.jpg")
    pipeline._save_downloads([(film, done) for film in claimed()])


def release_details():
    details.DetailsWorker(details.new_run(None, None, threading.Event()))._release(list(Movie.objects.all()))


def change_the_bot():
    PosterBot.objects.update_or_create(pk=1, defaults={"bot_id": 1})
    handle_bot_change(2)


def merge_two_ids():
    details.merge_into(OTHERS[0], LOWEST)


WRITERS = [
    write_details,
    save_a_page,
    save_what_a_file_names,
    release_downloads,
    save_downloads,
    release_details,
    merge_two_ids,
    lambda: Movie.objects.all().prioritize_posters(),
    lambda: Movie.objects.all().prioritize_details(PosterPriority.ASKED),
    lambda: Movie.objects.all().requeue_posters(),
    lambda: Movie.objects.all().suspend_posters("paused"),
    lambda: Movie.objects.all().reread_details(),
    lambda: Movie.objects.all().fill_search_text(),
]
OF_UPLOADED = [change_the_bot, lambda: Movie.objects.all().keep_old_posters()]
ADDING = [write_details, save_a_page, save_what_a_file_names]


def add_films(file_id=""):
    """From the highest id to the lowest, as a scan of the table finds them."""
    Movie.objects.all().delete()
    for movie_id in (*OTHERS, LOWEST):
        Movie.objects.create(
            pk=movie_id,
            title="Film",
            details_attempts=1,
            poster_path=f"/{movie_id}.jpg",
            poster_status=PosterStatus.WAITING,
            poster_attempts=1,
            telegram_file_id=file_id,
        )


class Beside:
    """The writer in a thread, with a connection of its own."""

    def __init__(self, write):
        self.write, self.errors = write, []
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self.write()
        except Exception as error:
            self.errors.append(error)
        finally:
            connections.close_all()

    def start(self):
        """Until it waits for a row of ours."""
        self.thread.start()
        wait_until(lambda: not self.thread.is_alive() or waits_for_us())
        assert self.thread.is_alive(), (self.write, self.errors)

    def end(self):
        self.thread.join(60)
        assert not self.errors


def waits_for_us():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")
        return bool(cursor.fetchall())


def held():
    """The other films whose rows somebody holds."""
    found = []
    for movie_id in OTHERS:
        try:
            with transaction.atomic():
                Movie.objects.select_for_update(nowait=True).get(pk=movie_id)
        except DatabaseError:
            found.append(movie_id)
    return found


def test_the_lowest_film_is_taken_first():
    for number, write in enumerate([*WRITERS, *OF_UPLOADED]):
        add_films(file_id="old" if write in OF_UPLOADED else "")
        writer = Beside(write)
        with transaction.atomic():
            Movie.objects.select_for_update().get(pk=LOWEST)
            writer.start()
            assert held() == [], (number, write)
        writer.end()


def test_new_films_are_added_before_any_row_is_taken():
    for write in ADDING:
        add_films()
        Movie.objects.filter(pk=LOWEST).delete()
        writer = Beside(write)
        with transaction.atomic():
            Movie.objects.create(pk=LOWEST, title="Film")  # another is adding it, too
            writer.start()
            assert held() == [], write
        writer.end()


def end_as_victim(write):
    """The writer holds the lowest film, waits for the others and is waited for: PostgreSQL ends its transaction."""
    writer = Beside(write)
    with transaction.atomic():
        list(Movie.objects.select_for_update().filter(pk__in=OTHERS))
        writer.start()
        Movie.objects.select_for_update().get(pk=LOWEST)
    writer.end()


def test_details_that_lost_a_deadlock_are_written_once_more():
    def write():
        worker = details.DetailsWorker(details.new_run(None, None, threading.Event()))
        worker.fetched = [(Movie.objects.get(pk=id), from_tmdb(id, details_at=1)) for id in (*OTHERS, LOWEST)]
        worker._save()

    add_films()
    end_as_victim(write)
    assert set(Movie.objects.values_list("title", flat=True)) == {"New"}


def test_an_import_that_lost_a_deadlock_is_resumed(sandbox):
    add_films()
    Movie.objects.update(details_at=1)
    sandbox.tmdb.add_films(max(OTHERS), start=1)
    anna = linked(sandbox, sandbox.telegram.person("Анна"), "anna")
    rate(anna.account, [LOWEST, *OTHERS])
    end_as_victim(partial(import_queued, 60))
    assert table_of(anna) == at_tmdb(anna.account)
    assert User.objects.get().sync_status == SyncStatus.IMPORTED
