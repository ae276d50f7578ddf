"""Files bring films to see as well: onto the watchlist here and at TMDb, and off it again when the file is undone."""

import json

import pytest

from ratings.files.parser import read
from ratings.files.rows import ListUnknown, ParseError, Purpose
from ratings.models import FileChange, Rating
from ratings.tasks import write_watchlist
from ratings.watchlist.models import WatchlistEntry
from tests.helpers.files import zipped
from tests.helpers.imports import linked
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)
NOW = 1_790_000_000
LETTERBOXD = "Date,Name,Year,Letterboxd URI\n2024-05-02,The Matrix,1999,https://boxd.it/a\n"
IMDB = (
    "Position,Const,Created,Modified,Description,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),Year,"
    "Genres,Num Votes,Release Date,Directors,Your Rating,Date Rated\n"
    "1,tt0133093,2024-05-02,2024-05-02,,The Matrix,The Matrix,x,Movie,8.7,136,1999,,1,1999-03-24,,,\n"
    "2,tt0903747,2024-05-02,2024-05-02,,Breaking Bad,Breaking Bad,x,TV Series,9,45,2008,,1,2008-01-20,,,\n"
)
TRAKT = [
    {"rank": 1, "id": 5, "listed_at": "2024-05-02T10:00:00.000Z", "notes": None, "type": "movie",
     "movie": {"title": "The Matrix", "year": 1999, "ids": {"trakt": 481, "imdb": "tt0133093", "tmdb": 603}}}
]  # fmt: skip
KINORIUM = "ListTitle\tTitle\tOriginal Title\tType\tYear\r\nБуду смотреть\tМатрица\tThe Matrix\tФильм\t1999\r\n"
SIMKL = {
    "movies": [
        {"status": "plantowatch", "user_rating": None, "added_to_watchlist_at": "2024-05-02T10:00:00Z",
         "movie": {"title": "The Matrix", "year": 1999, "ids": {"imdb": "tt0133093", "tmdb": "603"}}}
    ]
}  # fmt: skip
LISTS = {
    "letterboxd-watchlist.csv": LETTERBOXD,
    "WATCHLIST.csv": IMDB,
    "watchlist.json": json.dumps(TRAKT),
    "movies_lists.csv": "\ufeff" + KINORIUM,
    "simkl.json": json.dumps(SIMKL),
    "Хочу посмотреть.csv": "Название;Год\nМатрица;1999\n",
}


def wanted(content, **named):
    return {row.name for row in read(content.encode(), NOW, **named).rows if row.purpose is Purpose.WANTED}


@pytest.mark.parametrize("name", LISTS)
def test_every_services_list_of_films_to_see_is_known(name):
    rows = read(LISTS[name].encode("utf-16" if "ListTitle" in LISTS[name] else "utf-8"), NOW, name=name).rows
    assert [(row.year, row.purpose) for row in rows if not row.skip_reason] == [(1999, Purpose.WANTED)]


@pytest.mark.parametrize("content", [LETTERBOXD, IMDB, json.dumps(TRAKT), "Название;Год\nМатрица;1999\n"])
def test_what_a_list_is_of_is_asked_where_nothing_tells(content):
    with pytest.raises(ListUnknown):
        read(content.encode(), NOW, name="list.csv")
    assert len(wanted(content, purpose=Purpose.WANTED)) == 1
    assert not wanted(content, purpose=Purpose.SEEN)
    assert not wanted(content, name="watched.csv")


def test_a_list_with_ratings_is_no_list_of_films_to_see():
    rated = IMDB.replace("Breaking Bad,x,TV Series", "Heat,x,Movie").replace(
        "2008-01-20,,,", "2008-01-20,,7,2024-01-01"
    )
    rows = read(rated.encode(), NOW, name="WATCHLIST.csv").rows
    assert [(row.imdb_id, row.value, row.purpose) for row in rows] == [
        ("tt0903747", 7, Purpose.RATING), ("tt0133093", None, Purpose.WANTED),
    ]  # fmt: skip


def test_a_table_whose_rating_has_an_unknown_name_is_no_list_of_films():
    with pytest.raises(ParseError, match="no_ratings"):
        read(b"Title,Year,Zzz\nThe Matrix,1999,9\n", NOW)


def test_lists_of_ones_own_in_an_archive_are_left_out():
    content = zipped(watchlist_json=json.dumps(TRAKT), favourites_json=json.dumps(TRAKT).replace("The Matrix", "Heat"))
    assert [row.title for row in read(content, NOW).rows] == ["The Matrix"]


KINOPOISK = """<!DOCTYPE html>
<!-- saved from url=(0058)https://www.kinopoisk.ru/user/1/movies/list/type/3575/ -->
<html><head><meta charset="utf-8"></head><body><ul><li><a href="/mykp/">Папки</a></li></ul>
<ul class="dropper" id="itemList">
<li class="item even" data-id="301"><div class="number">1</div><div class="info">
  <a class="name" href="/film/301/">Матрица</a><span>The Matrix (1999) 136 мин.</span>
  <b><i>реж. <a href="/name/23330/">Лана Вачовски</a></i></b><span>фантастика</span></div>
  <span>02.05.2021, 10:11</span></li>
<li class="item" data-id="404"><div class="info"><a class="name" href="/film/41519/">Брат</a>
  <span>(1997) 100 мин.</span></div></li>
<li class="item" data-id="5"><div class="info"><a class="name" href="/series/77044/">Друзья</a>
  <span>Friends (сериал, 1994 – 2004)</span></div></li></ul><ul><li><a class="name" href="/film/1/">Чужой</a></li></ul>
</body></html>"""


def test_a_saved_folder_of_kinopoisk_is_a_list():
    assert [
        (row.title, row.original_title, row.year, row.at, row.purpose, row.skip_reason)
        for row in read(KINOPOISK.encode(), NOW).rows
        if not row.skip_reason
    ] == [
        ("Брат", "", 1997, None, Purpose.WANTED, ""),
        ("Матрица", "The Matrix", 1999, 1_619_950_260, Purpose.WANTED, ""),
    ]
    another = KINOPOISK.replace("3575", "1")
    with pytest.raises(ListUnknown):
        read(another.encode(), NOW)
    assert wanted(another, name="Буду смотреть.html") == {"Брат (1997)", "Матрица (1999)"}


def test_a_list_in_an_archive_keeps_its_ratings():
    rated = IMDB.replace("TV Series", "Movie").replace("2008-01-20,,,", "2008-01-20,,7,2024-01-01")
    rows = read(zipped(favourites_csv=rated), NOW).rows
    assert {(row.imdb_id, row.value, row.skip_reason) for row in rows} == {
        ("tt0903747", 7, ""), ("tt0133093", None, "unrated"),
    }  # fmt: skip


# --- In the chat


def entries():
    return list(WatchlistEntry.objects.order_by("movie_id").values_list("movie_id", "added_at"))


def test_a_watchlist_is_put_on_the_list_and_taken_off_it_again(user, send, anna, press):
    told = send(LETTERBOXD, "watchlist.csv")
    assert entries() == [(603, 1_714_608_000)]
    assert "Your watchlist has 1 new film." in told.text
    press(told, "Undo this import")
    assert entries() == []
    assert "1 film of your watchlist is as it was" in told.text
    assert not Rating.objects.exists()


def test_a_list_that_may_be_either_waits_for_an_answer(user, send, anna, press):
    told = send(LETTERBOXD, "films.csv")
    assert "Do you want to watch them, or have you seen them?" in told.text
    assert "The Matrix (1999)" in told.text
    press(told, "To watch")
    assert [movie_id for movie_id, _at in entries()] == [603]


def test_films_that_have_been_seen_rate_nothing(user, send, anna, press):
    told = send(LETTERBOXD, "films.csv")
    press(told, "Watched")
    assert (entries(), Rating.objects.count()) == ([], 0)
    assert "1 row without a rating left out" in told.text


def test_what_is_rated_is_not_put_on_the_list(user, send):
    send("tmdbID,Rating10\n603,9\n")
    told = send(LETTERBOXD, "watchlist.csv")
    assert entries() == []
    assert "1 film to watch is rated already" in told.text


def test_a_file_that_rates_a_film_takes_it_off_the_list_and_undone_puts_it_back(user, send, anna, press):
    send(LETTERBOXD, "watchlist.csv")
    told = send("tmdbID,Rating10\n603,9\n")
    assert entries() == []
    press(told, "Undo this import")
    assert (entries(), Rating.objects.count()) == ([(603, 1_714_608_000)], 0)


def test_a_film_to_see_that_is_not_certain_is_chosen_in_the_deck(sandbox, user, send, anna, handle, press):
    for film in (1_000_001, 1_000_002):
        sandbox.tmdb.add_film(film, title_en="Twins", title_ru="Близнецы", release_date="2001-01-01")
    told = send(LETTERBOXD.replace("The Matrix,1999", "Twins,2001"), "watchlist.csv")
    press(told, "Choose 1 film")
    deck = anna.chat[-1]
    assert "to watch" in deck.text
    chosen = deck.buttons[1][0]
    anna.press(deck, data=chosen.data)
    handle()
    assert [movie_id for movie_id, _at in entries()] == [int(chosen.data.split(":")[2])]
    assert FileChange.objects.get().watchlist == FileChange.Watchlist.ADDED


def test_tmdb_gets_the_films_too(sandbox, send, anna, press):
    user = linked(sandbox, anna, "anna")
    User.objects.filter(pk=user.pk).update(sync_status=SyncStatus.IMPORTED, language="en")
    told = send(LETTERBOXD, "watchlist.csv")
    write_watchlist()
    assert list(user.account.watchlist) == [603]
    press(told, "Undo this import")
    write_watchlist()
    assert list(user.account.watchlist) == []
