"""Whatever writes several films at once takes their rows in the order of their ids, so that no two wait for each other.

The lowest row is held here while the writer runs: it must wait for that one with no other row in its hands.
"""

import threading

import pytest
from django.db import DatabaseError, connection, connections, transaction

from movies import details
from movies.models import Movie, PosterPriority, PosterStatus
from movies.saving import save_movies
from ratings.tmdb_sync.merge import save_listed
from tests.helpers.waiting import wait_until

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


WRITERS = [write_details, save_a_page, save_what_a_file_names]


@pytest.fixture
def films():
    """In the table from the highest id to the lowest, as a scan of it finds them."""
    for movie_id in (*OTHERS, LOWEST):
        Movie.objects.create(
            pk=movie_id, title="Film", details_at=5, poster_path=f"/{movie_id}.jpg", poster_status=PosterStatus.WAITING
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
        assert self.thread.is_alive(), self.errors

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


@pytest.mark.parametrize("write", WRITERS)
def test_the_lowest_film_is_taken_first(films, write):
    writer = Beside(write)
    with transaction.atomic():
        Movie.objects.select_for_update().get(pk=LOWEST)
        writer.start()
        assert held() == []
    writer.end()


@pytest.mark.parametrize("write", [write_details, save_a_page, save_what_a_file_names])
def test_new_films_are_added_before_any_row_is_taken(films, write):
    Movie.objects.filter(pk=LOWEST).delete()
    writer = Beside(write)
    with transaction.atomic():
        Movie.objects.create(pk=LOWEST, title="Film")  # another is adding it, too
        writer.start()
        assert held() == []
    writer.end()
