"""A list that is shorter than it was: no single reading removes anything, and what is removed may come back."""

import time
from decimal import Decimal

import pytest

from ratings.models import Import, PendingWrite, Rating, RemovedRating, Source
from ratings.rate import rate as rate_here
from ratings.rate import take_back
from ratings.tasks import queue_daily_imports, write_ratings
from ratings.tmdb_sync import limits
from tests.helpers.imports import at_tmdb, linked, rate, sync, table_of, work
from users.disconnect import disconnect, forget
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = r"/rated/movies$"
EMPTY = {"page": 1, "results": [], "total_pages": 0, "total_results": 0}


@pytest.fixture
def films(sandbox):
    return sandbox.tmdb.add_films(60)


@pytest.fixture
def anna(sandbox, films):
    """A user with sixty ratings at TMDb, imported."""
    user = linked(sandbox, sandbox.telegram.person("Анна"), "anna")
    rate(user.account, films)
    work(user)
    return user


@pytest.fixture
def later(monkeypatch):
    """later(): the time has come for the second reading."""

    def pass_time():
        monkeypatch.setattr(limits, "CONFIRM_REMOVAL_SECONDS", 0)

    return pass_time


def last_text(user):
    return user.person.chat[-1].text


def one_page_of(films):
    rows = [{"id": film, "title": f"Film {film}", "rating": 5.0} for film in films[:20]]
    return {"page": 1, "results": rows, "total_pages": 1, "total_results": 20}


@pytest.mark.parametrize("answer", ["empty", "one page", "one page of sixty"])
def test_one_answer_that_is_too_short_removes_nothing(sandbox, anna, films, answer):
    before = dict(table_of(anna))
    body = {
        "empty": EMPTY,
        "one page": one_page_of(films),
        "one page of sixty": {**one_page_of(films), "total_results": 60},
    }[answer]
    sandbox.tmdb.fail(PAGES, status=200, body=body, times=None)
    sync(anna)
    assert table_of(anna).keys() == before.keys()
    assert anna.ratings_count == 60
    sandbox.faults.clear()
    sync(anna)
    assert table_of(anna) == before
    assert not RemovedRating.objects.exists()


def test_a_short_answer_after_another_within_the_hour_removes_nothing(sandbox, anna):
    sandbox.tmdb.fail(PAGES, status=200, body=EMPTY, times=None)
    for _time in range(2):
        sync(anna)
        assert anna.ratings_count == 60
        assert "60 ваших оценок" in last_text(anna)
        assert "Новых оценок нет" not in last_text(anna)


def test_what_is_gone_in_a_later_reading_too_is_removed(sandbox, anna, films, later):
    for film in films[:10]:
        anna.account.unrate(film)
    sync(anna)
    assert len(table_of(anna)) == 60
    later()
    sync(anna)
    assert table_of(anna) == at_tmdb(anna.account)
    assert Import.objects.latest("pk").removed == 10


def test_a_later_reading_that_finds_some_of_them_again_starts_anew(sandbox, anna, films, later):
    later()
    sandbox.tmdb.fail(PAGES, status=200, body=EMPTY, times=1)
    sync(anna)
    sandbox.tmdb.fail(PAGES, status=200, body=one_page_of(films), times=2)
    sync(anna)
    assert len(table_of(anna)) == 60


def test_the_only_rating_is_removed_by_a_later_reading(sandbox, films, later):
    user = linked(sandbox, sandbox.telegram.person("Боря"), "borya")
    rate(user.account, films[:1])
    work(user)
    user.account.unrate(films[0])
    sync(user)
    assert user.ratings_count == 1
    later()
    sync(user)
    assert user.ratings_count == 0


def test_the_daily_import_reads_everything_while_a_removal_waits(sandbox, anna, films, later):
    for film in films:
        anna.account.unrate(film)
    sync(anna)
    later()
    User.objects.filter(pk=anna.pk).update(last_sync_at=1)
    assert queue_daily_imports() == "1 queued"
    work()
    anna.refresh_from_db()
    assert anna.ratings_count == 0


# --- Small losses


@pytest.mark.parametrize("gone", [1, 3])
def test_a_few_are_removed_after_two_readings_in_one_run(sandbox, anna, films, gone):
    for film in films[:gone]:
        anna.account.unrate(film)
    sandbox.tmdb.forget_requests()
    sync(anna)
    assert table_of(anna) == at_tmdb(anna.account)
    assert Import.objects.latest("pk").removed == gone
    pages = [seen.query["page"] for seen in sandbox.tmdb.requests_of("/account/*/rated/movies")]
    assert pages.count("2") == 2


def test_a_film_left_out_of_one_reading_is_kept(sandbox, anna, films):
    """TMDb's total goes along with what it shows, so nothing but the second reading tells."""
    before, value = table_of(anna), anna.account.ratings[films[-1]]
    anna.account.unrate(films[-1])
    once_read(sandbox, anna, lambda: anna.account.rate(films[-1], value))
    sync(anna)
    assert table_of(anna) == before


def once_read(sandbox, user, change):
    """Change the account between the two readings of the next import."""
    read, seen = sandbox.tmdb._rated_page, []

    def rated_page(account, request):
        seen.append(request.query["page"])
        if len(seen) == 6:  # three pages, the first and the last again
            change()
        return read(account, request)

    sandbox.tmdb._rated_page = rated_page


@pytest.mark.parametrize("never_listed", [0, 1])
def test_a_row_that_came_twice_in_place_of_another_removes_none(sandbox, anna, films, never_listed):
    for film in sandbox.tmdb.add_films(never_listed, start=2_000_000):
        anna.account.rate(film, 5)
        sandbox.tmdb.hide_from_pages(film)
    sync(anna)
    before = table_of(anna)
    sandbox.tmdb.repeat_row(anna.account, page=2, times=9)
    if never_listed:
        sandbox.tmdb.films[2_000_000].hidden = False  # so that the total fits all the same
    sync(anna)
    assert table_of(anna).keys() >= before.keys()
    sync(anna)
    assert table_of(anna).keys() >= before.keys()


def test_what_tmdb_counts_but_does_not_list_is_never_removed(sandbox, anna, films, later):
    later()
    before = table_of(anna)
    sandbox.tmdb.hide_from_pages(films[5])
    for _time in range(3):
        sync(anna)
        assert table_of(anna) == before


# --- What is removed comes back


@pytest.fixture
def ten_removed(anna, films, later):
    """The ten ratings of Anna's that were removed, by film, as they were."""
    Rating.objects.filter(user=anna).update(rated_at=1000)
    was = {film: anna.account.ratings[film] for film in films[:10]}
    for film in was:
        anna.account.unrate(film)
    later()
    sync(anna)
    sync(anna)
    assert len(table_of(anna)) == 50
    return was


def test_what_tmdb_shows_again_is_as_it_was(sandbox, anna, ten_removed):
    for film, value in ten_removed.items():
        anna.account.rate(film, value)
    changed = next(iter(ten_removed))
    anna.account.rate(changed, 9.5 if ten_removed[changed] != 9.5 else 9)
    sync(anna)
    assert table_of(anna) == at_tmdb(anna.account)
    again = Rating.objects.filter(user=anna, movie_id__in=ten_removed)
    assert {rating.movie_id: rating.rated_at == 1000 for rating in again} == {
        film: film != changed for film in ten_removed
    }
    assert {rating.source for rating in again} == {Source.TMDB}
    assert not RemovedRating.objects.exists()


def test_what_was_rated_here_is_as_it_was_when_tmdb_shows_its_value_again(sandbox, anna, films, later):
    User.objects.filter(pk=anna.pk).update(writes_ratings=False)
    anna.refresh_from_db()
    film, value = films[0], anna.account.ratings[films[0]]
    rate_here(anna, film, Decimal("9.5"))
    anna.account.unrate(film)
    sync(anna)
    assert Rating.objects.get(user=anna, movie_id=film).tmdb_rating is None
    anna.account.rate(film, value)
    sync(anna)
    rating = Rating.objects.get(user=anna, movie_id=film)
    assert (rating.tmdb_rating, rating.value, rating.source) == (Decimal(str(value)), Decimal("9.5"), Source.MANUAL)


def test_what_was_taken_back_here_after_a_removal_stays_so(sandbox, anna, films, ten_removed):
    film, value = next(iter(ten_removed.items()))
    rate_here(anna, film, Decimal("9.5"))
    take_back(anna, film)
    anna.account.rate(film, value)
    sync(anna)
    assert not Rating.objects.filter(user=anna, movie_id=film).exists()
    assert PendingWrite.objects.get(user=anna, movie_id=film).base == Decimal(str(value))


def test_what_was_removed_is_kept_for_thirty_days(anna, ten_removed):
    day = 86_400
    RemovedRating.objects.update(removed_at=int(time.time()) - 29 * day)
    queue_daily_imports()
    assert RemovedRating.objects.count() == 10
    RemovedRating.objects.update(removed_at=int(time.time()) - 31 * day)
    queue_daily_imports()
    assert not RemovedRating.objects.exists()


def test_forget_deletes_what_was_removed(anna, ten_removed):
    forget(anna.pk)
    assert not RemovedRating.objects.exists()


# --- The person is told


def test_who_loses_more_than_three_is_told_and_may_put_them_back(sandbox, anna, films, ten_removed, handle):
    message = anna.person.chat[-1]
    assert "10 исчезло с TMDb" in message.text
    assert "30 дней" in message.text
    anna.person.press(message, "Вернуть оценки")
    handle()
    assert last_text(anna) == "Вернулось 10 оценок. Записываю их и на TMDb."
    assert not message.buttons
    again = Rating.objects.filter(user=anna, movie_id__in=ten_removed)
    assert {rating.movie_id: rating.value for rating in again} == {
        film: Decimal(str(value)) for film, value in ten_removed.items()
    }
    assert {rating.rated_at for rating in again} == {1000}
    write_ratings()
    assert {film: anna.account.ratings.get(film) for film in ten_removed} == ten_removed
    sync(anna)
    assert table_of(anna) == at_tmdb(anna.account)
    assert {rating.rated_at for rating in again.all()} == {1000}


@pytest.mark.parametrize("why", ["not wanted", "disconnected"])
def test_who_does_not_write_to_tmdb_gets_them_back_here_only(sandbox, anna, ten_removed, handle, why):
    if why == "disconnected":
        disconnect(anna.pk)
    else:
        User.objects.filter(pk=anna.pk).update(writes_ratings=False)
    anna.person.press(anna.person.chat[-1], "Вернуть оценки")
    handle()
    assert last_text(anna) == "Вернулось 10 оценок."
    assert anna.ratings.count() == 60
    assert not PendingWrite.objects.exists()


def test_what_was_rated_anew_stays_when_the_others_are_put_back(sandbox, anna, ten_removed, handle):
    film = next(iter(ten_removed))
    rate_here(anna, film, Decimal("9.5"))
    anna.person.press(anna.person.chat[-1], "Вернуть оценки")
    handle()
    assert Rating.objects.get(user=anna, movie_id=film).value == Decimal("9.5")
    assert last_text(anna).startswith("Вернулось 9 оценок")


def test_a_second_tap_finds_nothing_to_put_back(sandbox, anna, ten_removed, handle):
    message = anna.person.chat[-1]
    _first, second = [anna.person.press(message, "Вернуть оценки") for _tap in range(2)]
    handle()
    assert anna.ratings.count() == 60
    assert second.answer.text == "Возвращать больше нечего."


def test_the_daily_import_tells_of_a_large_removal_with_the_button(sandbox, anna, films, later):
    for film in films[:10]:
        anna.account.unrate(film)
    later()
    messages = len(anna.person.chat)
    for _day in range(2):
        User.objects.filter(pk=anna.pk).update(last_sync_at=1)
        queue_daily_imports()
        work()
    assert len(anna.person.chat) == messages + 1
    assert "10 исчезло с TMDb" in last_text(anna)
    assert anna.person.chat[-1].buttons
