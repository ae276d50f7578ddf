"""Whatever processes write a person's ratings at the same time, the end is as if one came after the other."""

import subprocess
import sys
from decimal import Decimal

import pytest
from django.db import connection

from ratings.files import importer
from ratings.models import FileImport, Import, PendingWrite, Rating, Source
from ratings.tasks import write_ratings
from tests.conftest import leases_run_out
from tests.helpers.imports import at_tmdb, know, linked, work
from tests.helpers.waiting import ROOT
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)
FILMS = range(1_000_000, 1_000_200)
ROUNDS = 20


class Writers:
    """Processes of ours, each of which does what a line tells it."""

    def __init__(self, number, environment):
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.helpers.rating_writers"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for _n in range(number)
        ]
        self._wait(self.processes)

    def at_once(self, *orders):
        """Have each of the first processes carry out one line, all at the same time."""
        for process, order in zip(self.processes, orders, strict=False):
            process.stdin.write(f"{order}\n")
            process.stdin.flush()
        self._wait(self.processes[: len(orders)])

    def _wait(self, processes):
        for process in processes:
            answer = process.stdout.readline().strip()
            assert answer == "ok", answer.replace("\\n", "\n")

    def end(self):
        for process in self.processes:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


@pytest.fixture
def writers(environment):
    """Five processes; at their end PostgreSQL has counted no deadlock more."""
    before = deadlocks()
    writers = Writers(5, environment)
    yield writers
    writers.end()
    assert deadlocks() == before


def deadlocks():
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]


def file_of(user, films, value, date=""):
    """A file with these films, sent to the bot, in an order of its own."""
    lines = "".join(f"{film},{value},{value},{date}\n" for film in films)
    content = f"tmdbID,Exact Rating,Rating10,Date\n{lines}".encode()
    message = user.person.send_document("ratings.csv", content, "text/csv")
    return importer.receive(user, message.document.file_id)


@pytest.fixture
def anna(sandbox):
    sandbox.tmdb.add_films(len(FILMS), start=FILMS[0])
    know(FILMS)
    return linked(sandbox, sandbox.telegram.person("Анна"), "anna")


def begin_anew(user, status):
    for model in (Rating, PendingWrite, FileImport, Import):
        model.objects.all().delete()
    leases_run_out()
    user.account.ratings.clear()
    User.objects.filter(pk=user.pk).update(sync_status=status)


def values():
    return {rating.value for rating in Rating.objects.all()}


@pytest.mark.parametrize(("dates", "end"), [(("", ""), None), (("2021-05-02", "2020-05-02"), 7)])
def test_two_files_at_once_are_as_one_after_the_other(sandbox, anna, writers, dates, end):
    for _round in range(ROUNDS):
        begin_anew(anna, SyncStatus.IMPORTED)
        there = file_of(anna, FILMS, 7, dates[0]).pk
        back = file_of(anna, reversed(FILMS), 9, dates[1]).pk
        writers.at_once(f"file {there};file {back}", f"file {back};file {there}")
        importer.resume(there, 60, NEVER, lambda _file: None)  # what the last one enqueued
        importer.resume(back, 60, NEVER, lambda _file: None)
        assert Rating.objects.filter(user=anna).count() == len(FILMS)
        assert values() in ([{end}] if end else [{7}, {9}])
        writes = dict(PendingWrite.objects.values_list("movie_id", "rating"))
        assert writes == dict(Rating.objects.values_list("movie_id", "manual_rating"))


def test_two_clusters_that_work_at_one_file_rate_each_film_once(sandbox, anna, writers):
    for _round in range(ROUNDS // 2):
        begin_anew(anna, SyncStatus.IMPORTED)
        file = file_of(anna, FILMS, 7).pk
        writers.at_once(*[f"file {file};file {file}"] * 3)
        importer.resume(file, 60, NEVER, lambda _file: None)
        outcome = FileImport.objects.get().outcome
        assert outcome == {"added": len(FILMS)}
        assert values() == {7}


class Never:
    def is_set(self):
        return False


NEVER = Never()


def test_a_file_in_the_minute_an_account_is_linked_loses_neither(sandbox, anna, writers):
    pressed, taken_back = FILMS[7], FILMS[9]
    for _round in range(ROUNDS):
        begin_anew(anna, SyncStatus.QUEUED)
        for film in FILMS:
            anna.account.rate(film, 8)
        file = file_of(anna, FILMS, 3).pk
        press = f"press {anna.pk} {pressed} 1 2 10;take_back {anna.pk} {taken_back}"
        writers.at_once(f"file {file};file {file}", "account", press, "outbox;outbox", f"file {file};outbox")
        settle(anna, file)
        here = {rating.movie_id: rating.value for rating in Rating.objects.all()}
        assert here.pop(pressed) in (8, 10)
        assert here.pop(taken_back, None) in (8, 3, None)
        assert here == {film: Decimal(8) for film in FILMS if film not in (pressed, taken_back)}


def test_a_file_undone_while_its_ratings_are_written_leaves_none_behind(sandbox, anna, writers):
    sandbox.tmdb.latency = 0.005
    for _round in range(ROUNDS // 2):
        begin_anew(anna, SyncStatus.IMPORTED)
        file = file_of(anna, FILMS, 3).pk
        importer.resume(file, 60, NEVER, lambda _file: None)
        writers.at_once("outbox", f"undo {file} {anna.pk}", "outbox;outbox", f"press {anna.pk} {FILMS[3]} 9")
        settle(anna, file)
        assert {rating.movie_id: rating.value for rating in Rating.objects.all()} == {FILMS[3]: 9}


def settle(user, file_id):
    """Let all that is left be done, and hold that the same stands here and at TMDb."""
    importer.resume(file_id, 60, NEVER, lambda _file: None)
    work()
    PendingWrite.objects.update(next_try_at=0)
    write_ratings()
    assert not PendingWrite.objects.exists()
    for rating in Rating.objects.filter(user=user):
        assert (rating.source == Source.MANUAL) == (rating.manual_rating is not None)
        assert rating.tmdb_rating == rating.value
    assert {rating.movie_id: rating.value for rating in Rating.objects.filter(user=user)} == at_tmdb(user.account)
