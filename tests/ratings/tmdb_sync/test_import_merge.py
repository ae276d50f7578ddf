"""Both sides rate: what was done here stands while TMDb holds the base; where TMDb moved on, TMDb wins, by name."""

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from movies.models import Movie
from ratings.models import DismissedMovie, Import, PendingWrite, Rating, Source, normalize
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.user_import import begin
from tests.helpers.imports import hurry, linked, sync, table_of, work
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)


OTHER = 238


@pytest.fixture
def anna(sandbox, transactional_db):
    """A user who has rated 603 with 7 at TMDb, and another film that stays there, imported."""
    user = linked(sandbox, sandbox.telegram.person("Анна"), "anna")
    user.account.rate(603, 7)
    user.account.rate(OTHER, 5)
    work(user)
    return user


def rate_here(user, film, value, pending=False):
    """What a tap on a card does."""
    value = Decimal(str(value))
    rating = Rating.objects.filter(user=user, movie_id=film).first()
    Rating.objects.update_or_create(
        user=user,
        movie_id=film,
        defaults={
            "manual_rating": value,
            "normalized_rating": normalize(value),
            "source": Source.MANUAL,
            "rated_at": 5000,
        },
    )
    if pending:
        base = rating.tmdb_rating if rating else None
        PendingWrite.objects.update_or_create(user=user, movie_id=film, defaults={"rating": value, "base": base})


def take_back_here(user, film, pending=True):
    rating = Rating.objects.get(user=user, movie_id=film)
    if pending and rating.tmdb_rating is not None:
        PendingWrite.objects.update_or_create(
            user=user, movie_id=film, defaults={"rating": None, "base": rating.tmdb_rating}
        )
    rating.delete()


def state_of(user, film=603):
    rating = Rating.objects.filter(user=user, movie_id=film).first()
    return rating and (rating.tmdb_rating, rating.manual_rating, rating.source, rating.rated_at)


def test_a_rating_made_here_stands_while_tmdb_holds_the_base(sandbox, anna):
    rate_here(anna, 603, 9.5)
    sync(anna)
    assert state_of(anna) == (Decimal("7"), Decimal("9.5"), "manual", 5000)
    assert anna.ratings_count == 2


def test_a_film_rated_at_tmdb_is_no_longer_one_that_was_called_not_interesting(sandbox, anna):
    for film in (550, 680):
        Movie.objects.create(id=film, title="x")
        DismissedMovie.objects.create(user=anna, movie_id=film, dismissed_at=1)
    anna.account.rate(550, 8)
    sync(anna)
    assert [row.movie_id for row in DismissedMovie.objects.all()] == [680]


def test_where_tmdb_changed_it_wins_and_says_so_by_name(sandbox, anna):
    rate_here(anna, 603, 9.5, pending=True)
    anna.account.rate(603, 4)
    sync(anna)
    tmdb, manual, source, rated_at = state_of(anna)
    assert (tmdb, manual, source) == (Decimal("4"), None, "tmdb")
    assert rated_at > 5000
    assert not PendingWrite.objects.exists()
    text = anna.person.chat[-1].text
    assert "Матрица: 9.5 → 4" in text


def test_a_rating_of_ours_that_has_arrived_there_is_no_change(sandbox, anna):
    rate_here(anna, 603, 9.5, pending=True)
    anna.account.rate(603, 9.5)
    sync(anna)
    assert state_of(anna) == (Decimal("9.5"), Decimal("9.5"), "manual", 5000)
    assert not PendingWrite.objects.exists()
    assert Import.objects.latest("pk").changed == 0


def test_a_rating_gone_from_tmdb_goes_here(sandbox, anna):
    anna.account.unrate(603)
    sync(anna)
    assert state_of(anna) is None
    assert anna.ratings_count == 1
    assert "Матрица" in anna.person.chat[-1].text


def test_a_rating_gone_from_tmdb_stays_where_it_was_given_here(sandbox, anna):
    rate_here(anna, 603, 9.5)
    anna.account.unrate(603)
    sync(anna)
    assert state_of(anna) == (None, Decimal("9.5"), "manual", 5000)
    assert anna.ratings_count == 1


def test_a_rating_made_only_here_stays(sandbox, anna):
    Movie.objects.create(id=1, title="Только здесь", details_at=1)
    rate_here(anna, 1, 8)
    sync(anna)
    assert state_of(anna, 1) == (None, Decimal("8"), "manual", 5000)
    assert anna.ratings_count == 2


def test_a_rating_taken_back_here_does_not_come_back(sandbox, anna):
    take_back_here(anna, 603)
    sync(anna)
    assert state_of(anna) is None
    assert PendingWrite.objects.count() == 1
    assert Import.objects.latest("pk").complete


def test_a_rating_taken_back_here_comes_back_where_tmdb_changed_it(sandbox, anna):
    take_back_here(anna, 603)
    anna.account.rate(603, 3)
    sync(anna)
    assert state_of(anna)[:3] == (Decimal("3"), None, "tmdb")
    assert not PendingWrite.objects.exists()
    assert "Матрица" in anna.person.chat[-1].text


def test_ratings_are_compared_exactly(sandbox, anna):
    anna.account.ratings[603] = 7
    rate_here(anna, 603, 9)
    sync(anna)
    anna.account.ratings[603] = 7.0
    sync(anna)
    assert state_of(anna)[1] == Decimal("9")


def test_who_is_imported_by_the_clock_hears_only_of_their_own_that_gave_way(sandbox, anna):
    def daily():
        User.objects.filter(pk=anna.pk).queue_import()
        begin(anna, scheduled=True)
        work()

    messages = len(anna.person.chat)
    anna.account.rate(604, 5)
    daily()
    assert len(table_of(anna)) == 3
    assert len(anna.person.chat) == messages
    rate_here(anna, 604, 9)
    anna.account.rate(604, 6)
    daily()
    assert len(anna.person.chat) == messages + 1
    assert "Матрица: Перезагрузка: 9 → 6" in anna.person.chat[-1].text


# --- A random TMDb against a model

HALVES = st.integers(1, 20).map(lambda n: n / 2)
FILMS = range(2_000_000, 2_000_060)
FILM = st.sampled_from(FILMS)
ids = itertools.count(9_000_000)


class Ratings(RuleBasedStateMachine):
    """A user rates here and there; after a clean import the table is what the merge rule says.

    `base`, `here` and `pending` are the model: the value last seen at TMDb, the rating given here, and the bases of
    ratings taken back here that TMDb has still to hear of.
    """

    sandbox: Any = None

    @initialize(rated=st.dictionaries(FILM, HALVES, max_size=50))
    def meet(self, rated):
        tmdb = self.sandbox.tmdb
        number = next(ids)
        self.sandbox.faults.clear()
        person = self.sandbox.telegram.person(f"P{number}", id=number)
        self.user = linked(self.sandbox, person, f"p{number}")
        self.account = self.user.account
        self.base, self.here, self.pending = {}, {}, {}
        for film, value in rated.items():
            self.account.rate(film, value)
        self.tmdb = tmdb

    @rule(film=FILM, value=HALVES)
    def rate_at_tmdb(self, film, value):
        self.account.rate(film, value)

    @rule(data=st.data())
    def take_back_at_tmdb(self, data):
        if self.account.ratings:
            self.account.unrate(data.draw(st.sampled_from(sorted(self.account.ratings))))

    @rule(film=FILM, value=HALVES, pending=st.booleans())
    def rate_here(self, film, value, pending):
        if film in self.pending:
            return
        Movie.objects.get_or_create(id=film, defaults={"title": str(film), "details_at": 1})
        rate_here(self.user, film, value, pending)
        self.here[film] = value

    @rule(data=st.data())
    def take_back_here(self, data):
        known = sorted(self.base.keys() | self.here.keys())
        if known:
            film = data.draw(st.sampled_from(known))
            take_back_here(self.user, film)
            self.here.pop(film, None)
            if film in self.base:
                self.pending[film] = self.base.pop(film)

    @rule(
        where=st.sampled_from([r"/rated/movies$", r"^/3/movie/\d+$", r"^/3/"]),
        what=st.sampled_from(
            [
                {"status": 429, "retry_after": 0},
                {"status": 500},
                {"status": 503},
                {"drop": "before"},
                {"truncate": 30},
                {"status": 200, "body": "<html>"},
                {"status": 200, "body": {"page": 1}},
            ]
        ),
        times=st.integers(1, 12),
    )
    def break_tmdb(self, where, what, times):
        self.tmdb.fail(where, times=times, **what)

    @rule()
    def import_as_far_as_it_goes(self):
        """An import that meets the faults; it may end, or be left for the next one."""
        User.objects.filter(pk=self.user.pk).queue_import()
        work(self.user)
        self.merge()

    @rule(step=st.integers(1, 3), film=FILM, value=HALVES, gone=FILM)
    def rate_while_pages_are_read(self, step, film, value, gone):
        """The account changes in the middle of an import; the next one sees to what this one missed."""
        read, pages = type(self.tmdb)._rated_page, itertools.count(1)

        def read_and_change(account, request):
            response = read(self.tmdb, account, request)
            if next(pages) == step:
                self.account.rate(film, value)
                self.account.unrate(gone)
            return response

        self.tmdb._rated_page = read_and_change
        try:
            User.objects.filter(pk=self.user.pk).queue_import()
            work(self.user)
        finally:
            del self.tmdb._rated_page
        sync(self.user)
        self.merge(through_the_middle={film, gone})

    def merge(self, through_the_middle=()):
        """Apply the rule to the model, if the import has ended, and another where that waits for a second reading."""
        while Import.objects.filter(user=self.user).latest("pk").reader_state.get("unconfirmed"):
            sync(self.user)
        self.user.refresh_from_db()
        assert self.user.sync_status == SyncStatus.IMPORTED
        theirs = self.account.ratings
        for film in set(theirs) | set(self.base) | set(self.pending):
            value = theirs.get(film)
            if film in self.pending:
                if value is not None and value != self.pending[film]:
                    del self.pending[film]
                    self.base[film] = value
                elif film in through_the_middle and not PendingWrite.objects.filter(movie=film, user=self.user):
                    del self.pending[film]  # TMDb held something else for a moment, and that was seen
                    if value is not None:
                        self.base[film] = value
            elif value is None:
                del self.base[film]
                if film in through_the_middle and not Rating.objects.filter(movie=film, user=self.user).exists():
                    self.here.pop(film, None)
            elif value != self.base.get(film):
                if self.here.get(film) != value:
                    self.here.pop(film, None)
                self.base[film] = value
        self.check()

    def check(self):
        ratings = Rating.objects.filter(user=self.user)
        assert {r.movie_id: r.tmdb_rating for r in ratings.exclude(tmdb_rating=None)} == {
            film: Decimal(str(value)) for film, value in self.base.items()
        }
        manual = {r.movie_id: r.manual_rating for r in ratings.filter(source=Source.MANUAL)}
        assert manual == {film: Decimal(str(value)) for film, value in self.here.items()}
        assert self.user.ratings_count == len(self.base)
        taken_back = PendingWrite.objects.filter(user=self.user, rating=None)
        assert set(taken_back.values_list("movie_id", flat=True)) == set(self.pending)

    @invariant()
    def every_row_is_sound(self):
        if not hasattr(self, "user"):
            return
        for rating in Rating.objects.filter(user=self.user):
            assert rating.normalized_rating == normalize(rating.value)
            assert (rating.source == Source.MANUAL) == (rating.manual_rating is not None)
            assert rating.tmdb_rating is not None or rating.manual_rating is not None

    def teardown(self):
        if not hasattr(self, "user"):
            return
        self.sandbox.faults.clear()
        sync(self.user)
        self.merge()
        User.objects.filter(pk=self.user.pk).delete()
        Movie.objects.update(details_next_try_at=0)


@pytest.mark.parametrize("steps", [12])
def test_after_the_last_clean_import_the_table_is_the_account_by_the_merge_rule(
    sandbox, transactional_db, monkeypatch, steps
):
    hurry(monkeypatch)
    monkeypatch.setattr(limits, "CONFIRM_REMOVAL_SECONDS", 0)
    sandbox.tmdb.add_films(len(FILMS), start=FILMS[0])
    machine = type("Ratings", (Ratings,), {"sandbox": sandbox})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
