"""Any sequence of changes at both sides, readings complete or not, ends equal on both sides, or says where not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movies.models import Movie
from ratings.models import Import, PendingWrite, Rating, WatchlistEntry, WatchlistWrite
from ratings.rate import rate
from ratings.tasks import write_ratings, write_watchlist
from ratings.tmdb_sync import limits
from ratings.watchlist.entries import set_wanted
from tests.helpers.imports import hurry, linked, sync
from tests.helpers.watchlist import wanted_by
from users.disconnect import disconnect
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)

FILMS = range(1_000_000, 1_000_024)  # two pages when most are wanted
CHANGES = ("want here", "take off here", "rate here", "want there", "take off there", "rate there")
EVENTS = ("read", "read a part", "read without any answer", "write", "write without an answer", "link again")

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(CHANGES), st.integers(0, len(FILMS) - 1)),
        st.tuples(st.sampled_from(EVENTS), st.just(0)),
    ),
    min_size=3,
    max_size=14,
)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(wanted_first=st.integers(0, 23), script=steps)
def test_both_lists_end_equal_or_the_difference_is_named(sandbox, monkeypatch, wanted_first, script):
    hurry(monkeypatch)
    monkeypatch.setattr(limits, "CONFIRM_REMOVAL_SECONDS", 0)
    person = sandbox.telegram.person("Анна")
    sandbox.tmdb.add_films(len(FILMS))
    user = linked(sandbox, person, f"anna{person.id}")
    user.account.want(*FILMS[:wanted_first])
    for number in FILMS:
        Movie.objects.get_or_create(pk=number, defaults={"title": f"Film {number}", "details_at": 1})
    sync(user)
    for what, number in script:
        do(sandbox, user, what, FILMS[number])
    settle(sandbox, user)
    only_there = set(user.account.watchlist) - set(wanted_by(user.pk))
    only_here = set(wanted_by(user.pk)) - set(user.account.watchlist)
    assert only_here == set()
    named = Import.objects.filter(user_id=user.pk).latest("pk").watchlist.get("rated_films", {})
    assert only_there == {int(movie_id) for movie_id in named}
    assert only_there <= set(Rating.objects.filter(user_id=user.pk).values_list("movie_id", flat=True))
    assert not WatchlistWrite.objects.filter(user_id=user.pk).exists()
    assert not WatchlistEntry.objects.filter(user_id=user.pk).exclude(tmdb_account_id=user.account.id).exists()


def do(sandbox, user, what, film):
    here, account = User.objects.get(pk=user.pk), user.account
    match what:
        case "want here" | "take off here":
            set_wanted(here, film, what == "want here")
        case "rate here":
            rate(here, film, 8)
        case "want there":
            account.want(film)
        case "take off there":
            account.unwant(film)
        case "rate there":
            account.rate(film, 7.0)
        case "read":
            sync(user)
        case "read a part" | "read without any answer":
            sandbox.tmdb.fail(r"/watchlist/movies$", 404, times=1 if what == "read a part" else None)
            sync(user)
        case "write":
            write()
        case "write without an answer":
            sandbox.tmdb.fail(r"/watchlist$", method="POST", drop="after", times=1)
            write()
        case "link again":
            disconnect(user.pk)
            User.objects.get(pk=user.pk).connect(account.id, sandbox.tmdb.session_for(account))
    sandbox.tmdb.faults.clear()


def write():
    for model in (PendingWrite, WatchlistWrite):
        model.objects.update(next_try_at=0)
    write_ratings()
    write_watchlist()


def settle(sandbox, user):
    """Some quiet days: everything is read and written."""
    for _day in range(3):
        sync(user)
        write()
    sync(user)
