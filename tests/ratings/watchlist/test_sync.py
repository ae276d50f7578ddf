"""The list here and the watchlist at TMDb are the same list: read after the ratings, written by the outbox."""

import time
from functools import partial

import pytest

from movies.models import Movie
from ratings.models import Import, Rating, WatchlistEntry, WatchlistWrite
from ratings.rate import rate as rate_here
from ratings.tasks import write_watchlist
from ratings.tmdb_sync import limits
from ratings.watchlist.entries import set_wanted
from ratings.watchlist.outbox import MAX_ATTEMPTS
from tests.helpers.imports import know, linked, rate, sync, work
from tests.helpers.watchlist import wanted_by
from users.disconnect import disconnect, forget, stop_writing
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = r"/watchlist/movies$"
WRITES = r"/watchlist$"


@pytest.fixture
def films(sandbox):
    return sandbox.tmdb.add_films(60)


@pytest.fixture
def anna(sandbox, films):
    """A user whose account at TMDb wants the first 45 of sixty films; not imported yet."""
    user = linked(sandbox, sandbox.telegram.person("Анна", language_code="en"), "anna")
    User.objects.filter(pk=user.pk).update(language="en")
    user.account.want(*films[:45])
    return user


def there(user):
    return sorted(user.account.watchlist)


def want_here(user, movie_id, wanted=True):
    Movie.objects.get_or_create(pk=movie_id, defaults={"title": f"Film {movie_id}", "details_at": 1})
    set_wanted(User.objects.get(pk=user.pk), movie_id, wanted)


def last_text(user):
    return user.person.chat[-1].text


def test_the_first_import_brings_the_list_in_its_order(anna, films):
    work(anna)
    assert wanted_by(anna.pk) == films[:45]
    newest = WatchlistEntry.objects.order_by("-added_at", "-place").values_list("movie_id", flat=True)
    assert list(newest) == films[44::-1]
    assert "45 more films on your watchlist" in last_text(anna)
    assert not WatchlistWrite.objects.exists()


def test_what_was_added_and_taken_off_there_is_so_here(anna, films):
    work(anna)
    anna.account.want(films[50])
    anna.account.unwant(films[3])
    sync(anna)
    assert wanted_by(anna.pk) == there(anna)
    assert "1 more film" in last_text(anna)
    assert "1 film is no longer" in last_text(anna)


def test_what_was_added_and_taken_off_here_is_so_there(anna, films):
    work(anna)
    want_here(anna, films[50])
    want_here(anna, films[3], wanted=False)
    write_watchlist()
    assert there(anna) == wanted_by(anna.pk) == sorted([*films[:3], *films[4:45], films[50]])
    assert not WatchlistWrite.objects.exists()
    sync(anna)
    assert there(anna) == wanted_by(anna.pk)


def test_our_changes_stand_against_a_reading_that_comes_before_they_are_sent(anna, films):
    work(anna)
    want_here(anna, films[50])
    want_here(anna, films[3], wanted=False)
    sync(anna)
    assert films[50] in wanted_by(anna.pk)
    assert films[3] not in wanted_by(anna.pk)
    write_watchlist()
    assert there(anna) == wanted_by(anna.pk)


def test_what_was_collected_before_linking_goes_to_tmdb(sandbox, films):
    person = sandbox.telegram.person("Анна")
    user = User.objects.create(pk=person.id)
    want_here(user, films[0])
    want_here(user, films[1])
    assert not WatchlistWrite.objects.exists()
    user.delete()
    user = linked(sandbox, person, "anna")
    user.account.want(films[1], films[2])
    for film in films[:2]:
        Movie.objects.get_or_create(pk=film, defaults={"title": "x", "details_at": 1})
        WatchlistEntry.objects.create(user=user, movie_id=film, added_at=5)  # plain SQL may do so, too
    work(user)
    write_watchlist()
    assert there(user) == wanted_by(user.pk) == films[:3]


def test_a_film_rated_here_leaves_both_lists_and_stays_away(anna, films):
    work(anna)
    rate_here(User.objects.get(pk=anna.pk), films[3], 8)
    sync(anna)  # TMDb still lists it
    assert films[3] not in wanted_by(anna.pk)
    write_watchlist()  # the rating goes first, by its own outbox
    from ratings.tasks import write_ratings

    write_ratings()
    write_watchlist()
    assert films[3] not in there(anna)
    sync(anna)
    assert wanted_by(anna.pk) == there(anna)
    assert not WatchlistWrite.objects.exists()


def test_a_film_rated_there_leaves_both_lists(anna, films):
    work(anna)
    anna.account.rate(films[3], 8.0)
    sync(anna)
    assert wanted_by(anna.pk) == there(anna)
    assert films[3] not in there(anna)


def test_a_film_added_here_and_rated_there_is_off_the_list_and_sync_says_so(anna, films):
    work(anna)
    want_here(anna, films[50])
    anna.account.rate(films[50], 8.0)
    write_watchlist()  # must not put it back
    assert films[50] not in there(anna)
    sync(anna)
    assert wanted_by(anna.pk) == there(anna) == films[:45]
    assert "rated these on TMDb" in last_text(anna)
    assert f"Film {films[50]}" in last_text(anna)


def test_a_rated_film_that_tmdb_still_lists_is_named_and_not_put_on_the_list(anna, films):
    rate(anna.account, films[:2])
    anna.account.want(films[0])
    work(anna)
    assert films[0] not in wanted_by(anna.pk)
    assert "Film No. 1" in last_text(anna).partition("but you have rated these")[2]


def test_two_pages_that_repeat_and_omit_rows_take_nothing_off(sandbox, anna, films):
    work(anna)
    sandbox.tmdb.repeat_row(anna.account, 2, times=9, watchlist=True)
    for _reading in range(2):
        sync(anna)
    assert wanted_by(anna.pk) == films[:45]


def test_a_hidden_row_takes_nothing_off(sandbox, anna, films):
    work(anna)
    sandbox.tmdb.hide_from_pages(films[3])
    for _reading in range(2):
        sync(anna)
    assert wanted_by(anna.pk) == films[:45]


def test_a_list_that_is_suddenly_much_shorter_waits_for_a_second_reading(sandbox, anna, films, monkeypatch):
    work(anna)
    anna.account.unwant(*films[:30])
    sync(anna)
    assert wanted_by(anna.pk) == films[:45]
    assert "so they stay for now" in last_text(anna)
    monkeypatch.setattr(limits, "CONFIRM_REMOVAL_SECONDS", 0)
    sync(anna)
    assert wanted_by(anna.pk) == films[30:45]


@pytest.mark.parametrize("status", [404, 422])
def test_a_removal_that_tmdb_refuses_once_does_not_bring_the_film_back(sandbox, anna, films, status):
    work(anna)
    want_here(anna, films[3], wanted=False)
    sandbox.tmdb.fail(WRITES, status)
    write_watchlist()
    sync(anna)
    assert films[3] not in wanted_by(anna.pk)
    WatchlistWrite.objects.update(next_try_at=0)
    write_watchlist()
    assert films[3] not in there(anna)
    assert not WatchlistWrite.objects.exists()


def test_a_removal_that_tmdb_refuses_for_good_stands_here(sandbox, anna, films):
    work(anna)
    want_here(anna, films[3], wanted=False)
    sandbox.tmdb.fail(WRITES, 404, times=None)
    for _attempt in range(MAX_ATTEMPTS + 1):
        write_watchlist()
        WatchlistWrite.objects.update(next_try_at=0)
    assert len(sandbox.tmdb.requests_of("/account/*/watchlist")) == MAX_ATTEMPTS
    sync(anna)
    assert films[3] not in wanted_by(anna.pk)
    assert WatchlistWrite.objects.get().refused  # an operator sees it


def test_several_films_are_sent_at_once(sandbox, anna, films):
    work(anna)
    for film in films[45:]:
        want_here(anna, film)
    sandbox.tmdb.latency, sandbox.tmdb.peak_in_flight = 0.2, 0
    write_watchlist()
    assert there(anna) == films
    assert sandbox.tmdb.peak_in_flight > 2


@pytest.mark.parametrize("status", [404, 500, 403])
def test_a_watchlist_that_tmdb_will_not_show_holds_up_no_import(sandbox, anna, films, monkeypatch, status):
    rate(anna.account, films[50:55])
    sandbox.tmdb.fail(PAGES, status, times=None)
    work(anna)
    assert (anna.sync_status, anna.ratings_count) == (SyncStatus.IMPORTED, 5)
    assert wanted_by(anna.pk) == []
    assert "would not show your whole watchlist" in last_text(anna)
    sandbox.tmdb.faults.clear()
    sync(anna)
    assert wanted_by(anna.pk) == films[:45]


def test_one_page_that_does_not_come_takes_nothing_off(sandbox, anna, films):
    work(anna)
    anna.account.unwant(films[0])
    sandbox.tmdb.fail(PAGES, 404, times=None)
    sync(anna)
    assert wanted_by(anna.pk) == films[:45]


def test_a_day_without_changes_costs_one_page(sandbox, anna, films):
    work(anna)
    sandbox.tmdb.forget_requests()
    daily_import(anna)
    assert len(sandbox.tmdb.requests_of("/account/*/watchlist/movies")) == 1
    anna.account.unwant(films[0])
    anna.account.want(films[59])
    daily_import(anna)
    assert wanted_by(anna.pk) == there(anna)


def daily_import(user):
    User.objects.filter(pk=user.pk).queue_import()
    values = {"account_id": user.account.id, "scheduled": True, "incremental": True, "started_at": int(time.time())}
    Import.objects.create(user_id=user.pk, **values)
    work()


def test_disconnect_keeps_the_list_and_what_was_changed_meanwhile_stands_when_linked_again(sandbox, anna, films):
    work(anna)
    disconnect(anna.pk)
    assert wanted_by(anna.pk) == films[:45]
    want_here(anna, films[3], wanted=False)
    want_here(anna, films[50])
    anna.account.unwant(films[7])
    User.objects.get(pk=anna.pk).connect(anna.account.id, sandbox.tmdb.session_for(anna.account))
    work(anna)
    write_watchlist()
    assert there(anna) == wanted_by(anna.pk) == sorted({*films[:45], films[50]} - {films[3], films[7]})


def test_another_account_gets_the_whole_list(sandbox, anna, films):
    work(anna)
    disconnect(anna.pk)
    other = sandbox.tmdb.add_account("other")
    other.want(films[59])
    User.objects.get(pk=anna.pk).connect(other.id, sandbox.tmdb.session_for(other))
    work(anna)
    for _run in range(3):
        write_watchlist()
    assert sorted(other.watchlist) == wanted_by(anna.pk) == sorted([*films[:45], films[59]])


def test_forget_deletes_the_list(anna, films):
    work(anna)
    want_here(anna, films[50])
    forget(anna.pk)
    assert not WatchlistEntry.objects.exists()
    assert not WatchlistWrite.objects.exists()


def test_who_does_not_want_tmdb_written_to_is_obeyed(anna, films):
    work(anna)
    stop_writing(anna.pk)
    want_here(anna, films[50])
    want_here(anna, films[3], wanted=False)
    write_watchlist()
    sync(anna)
    write_watchlist()
    assert there(anna) == films[:45]
    assert wanted_by(anna.pk) == sorted([*films[:3], *films[4:45], films[50]])


def test_a_film_that_tmdb_no_longer_has_stays_here_and_is_tried_once(sandbox, anna, films):
    work(anna)
    want_here(anna, films[50])
    sandbox.tmdb.gone(films[50])
    write_watchlist()
    sandbox.tmdb.forget_requests()
    sync(anna)
    write_watchlist()
    assert not sandbox.tmdb.requests_of("/account/*/watchlist")
    assert films[50] in wanted_by(anna.pk)
    assert WatchlistWrite.objects.get().refused


def test_while_tmdb_is_away_changes_wait(sandbox, anna, films):
    work(anna)
    want_here(anna, films[50])
    sandbox.tmdb.fail(r"^/3/", 503, times=None)
    write_watchlist()
    write = WatchlistWrite.objects.get()
    assert (write.attempts, write.error) == (1, write.error)
    assert "503" in write.error
    sandbox.tmdb.faults.clear()
    WatchlistWrite.objects.update(next_try_at=0)
    write_watchlist()
    assert films[50] in there(anna)


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_film_that_was_not_sent_and_is_taken_off_and_added_again_goes_to_tmdb(
    sandbox, anna, films, monkeypatch, drop
):
    monkeypatch.setattr(limits, "CONFIRM_REMOVAL_SECONDS", 0)
    work(anna)
    want_here(anna, films[50])
    sandbox.tmdb.fail(r"/watchlist$", method="POST", drop=drop, times=1)
    write_watchlist()
    want_here(anna, films[50], wanted=False)
    want_here(anna, films[50])
    write_watchlist()
    for _reading in range(2):
        sync(anna)
    assert films[50] in there(anna)
    assert films[50] in wanted_by(anna.pk)


def test_a_session_that_tmdb_ended_is_reported_once_and_the_list_stays(sandbox, anna, films):
    work(anna)
    want_here(anna, films[50])
    sandbox.tmdb.revoke(anna.account)
    messages = len(anna.person.chat)
    write_watchlist()
    write_watchlist()
    assert len(anna.person.chat) == messages + 1
    assert films[50] in wanted_by(anna.pk)
    assert WatchlistWrite.objects.count() == 1


def test_ratings_are_untouched_by_all_this(anna, films):
    rate(anna.account, films[50:55])
    work(anna)
    assert Rating.objects.count() == 5


def test_export_holds_the_list_in_letterboxds_layout(sandbox, anna, films, handle):
    work(anna)
    asked = anna.person.send("/export")
    handle()
    message = anna.person.wait(after=asked)
    assert message.document.file_name == "watchlist.csv"
    assert "45 films" in message.words
    lines = sandbox.telegram.files[message.document.file_id].content.decode("utf-8-sig").splitlines()
    assert lines[0] == "Date,Name,Year,Letterboxd URI,tmdbID,imdbID"
    assert len(lines) == 46
    assert f"https://letterboxd.com/tmdb/{films[44]}/" in lines[1]


def test_an_admin_reads_a_list_and_what_waits_for_tmdb(anna, films, admin_client):
    work(anna)
    want_here(anna, films[3], wanted=False)
    WatchlistWrite.objects.update(error="/account: 503")
    read = partial(admin_client.get, headers={"accept-language": "en"})
    page = read(f"/admin/watchlist/user/{anna.pk}/").content.decode()
    assert page.count('<th scope="row">') == 44 + 1
    assert "/account: 503" in page
    front = read("/admin/").content.decode()
    assert "Watchlists" in front
    assert "1 change to be written to TMDb" in front
    assert "503" in read("/admin/ratings/watchlistwrite/").content.decode()
    assert f"/admin/watchlist/user/{anna.pk}/" in read(f"/admin/users/user/{anna.pk}/change/").content.decode()
    assert read("/admin/watchlist/user/1/").status_code == 404


def test_ten_thousand_films_come_in_their_order(sandbox, anna):
    films = sandbox.tmdb.add_films(10_000, start=2_000_000)
    know(films)
    anna.account.watchlist.clear()
    anna.account.want(*films)
    work(anna)
    assert wanted_by(anna.pk) == films
    newest = WatchlistEntry.objects.order_by("-added_at", "-place").values_list("movie_id", flat=True)
    assert list(newest[:3]) == films[:-4:-1]
