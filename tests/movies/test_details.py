"""Details of films: one request brings them, one worker reads them, first what somebody waits for."""

import datetime
import time
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command

from config.jobs.run import Run
from movies import details, tasks
from movies.catalogue import fetch_movie, find_movies
from movies.models import REFRESH_AFTER_SECONDS, Movie, PendingCard, PosterPriority, PosterStatus
from movies.parsing import parse_details
from movies.saving import save_movies
from movies.tmdb import TMDb
from ratings.models import Rating
from tests.helpers.imports import hurry
from users.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("hurried")]
MONTH = REFRESH_AFTER_SECONDS // 3


@pytest.fixture
def hurried(monkeypatch):
    hurry(monkeypatch)


def known(sandbox, movie_id, months, **fields):
    """A film whose details were read so many months ago."""
    save_movies([fetch_movie(movie_id, TMDb())])
    Movie.objects.filter(pk=movie_id).update(details_at=int(time.time() - months * MONTH), **fields)
    sandbox.tmdb.forget_requests()
    return Movie.objects.get(pk=movie_id)


def asked(sandbox):
    """The ids of the films that were asked for, in order."""
    return [int(seen.path.rsplit("/", 1)[1]) for seen in sandbox.tmdb.requests_of("/movie/*[0-9]")]


# --- What a request brings


def read(movie_id):
    """The film as the table holds it after its details were read."""
    save_movies([fetch_movie(movie_id, TMDb())])
    return Movie.objects.get(pk=movie_id)


def test_one_request_brings_all_that_a_card_shows(sandbox):
    movie = read(603)
    assert len(sandbox.tmdb.requests_of("/movie/603")) == 1
    assert (movie.title, movie.title_en, movie.runtime, movie.countries) == ("Матрица", "The Matrix", 136, ["US"])
    assert movie.overview_en
    assert movie.overview_en != movie.overview
    assert movie.genres == [28, 878]
    assert movie.directors[0] == {"name": "Лана Вачовски", "original_name": "Lana Wachowski"}
    assert [actor["name"] for actor in movie.actors][:2] == ["Киану Ривз", "Лоренс Фишбёрн"]
    assert len(movie.actors) == 5
    assert movie.trailer_key == "vKQi3bBA1y8"
    assert movie.collection_id == 2344
    assert movie.details_at


def test_the_genres_of_a_list_row_are_there_before_the_details(sandbox):
    cache.clear()
    found = find_movies("форрест гамп").movies[0]
    assert (found.genres, found.details_at, found.countries) == ([35, 18, 10749], None, [])


@pytest.mark.parametrize("overview", ["", "Рассказ."])
def test_a_title_in_a_foreign_script_gives_way_to_the_english_one(sandbox, overview):
    sandbox.tmdb.add_film(
        9001,
        original_title="切腹",
        original_language="ja",
        title_en="Harakiri",
        overview_en="A tale.",
        overview_ru=overview,
    )
    movie = read(9001)
    assert (movie.title, movie.original_title, movie.title_en) == ("Harakiri", "切腹", "Harakiri")
    assert movie.overview == (overview or "A tale.")
    assert len(sandbox.tmdb.requests_of("/movie/9001")) == 1
    assert "切腹" in movie.search_text


def test_a_film_of_ones_own_language_keeps_its_title(sandbox):
    sandbox.tmdb.add_film(
        9002, original_title="Ёлки", original_language="ru", title_en="Yolki", overview_en="Six stories."
    )
    movie = read(9002)
    assert (movie.title, movie.title_en, movie.overview) == ("Ёлки", "Yolki", "Six stories.")


def test_a_trailer_in_ones_own_language_is_preferred(sandbox):
    sandbox.tmdb.change(550, trailers=[["en", "english-one"], ["fr", "french-one"], ["ru", "russian-one"]])
    assert read(550).trailer_key == "russian-one"


@pytest.mark.parametrize("odd", [None, "odd", [], [None, "x", 5], {"translations": 1, "cast": {}, "results": "x"}])
def test_odd_parts_of_an_answer_leave_gaps_and_nothing_else(odd):
    parts = ("genres", "production_countries", "origin_country", "translations", "credits", "videos", "runtime")
    answer: Any = {"id": 1, "title": "Odd", "imdb_id": odd, **dict.fromkeys(parts, odd)}
    movie = parse_details(answer)
    assert (movie.title, movie.genres, movie.countries, movie.directors, movie.actors) == ("Odd", [], [], [], [])
    assert (movie.trailer_key, movie.title_en, movie.imdb_id) == ("", "", "")


# --- TMDb's own codes of languages


@pytest.mark.parametrize(
    ("ours", "theirs"), [("nb-NO", "no"), ("no-NO", "nb"), ("zh-CN", "cn"), ("zh-TW", "cn"), ("ro-RO", "mo")]
)
def test_tmdbs_own_code_of_our_language_is_our_language(settings, ours, theirs):
    settings.TMDB_LANGUAGE = ours
    english = {"iso_639_1": "en", "iso_3166_1": "US", "data": {"title": "The Wave", "overview": ""}}
    own = {"iso_639_1": theirs, "iso_3166_1": "XX", "data": {"title": "", "overview": ""}}
    film: Any = {"id": 1, "title": "Bølgen", "original_title": "Bølgen", "original_language": theirs}
    assert parse_details(film | {"translations": {"translations": [english, own]}}).title == "Bølgen"
    foreign = film | {"title": "切腹", "original_title": "切腹", "original_language": "ja"}
    translated = {**own, "data": {"title": "切腹", "overview": ""}}
    assert parse_details(foreign | {"translations": {"translations": [english, translated]}}).title == "切腹"
    videos = [
        {"iso_639_1": "en", "site": "YouTube", "type": "Trailer", "key": "english-one", "official": True},
        {"iso_639_1": theirs, "site": "YouTube", "type": "Trailer", "key": "our-own-one"},
    ]
    assert parse_details(film | {"videos": {"results": videos}}).trailer_key == "our-own-one"


@pytest.mark.parametrize(("ours", "asked"), [("nb-NO", {"nb", "no", "en"}), ("zh-CN", {"zh", "cn", "en"})])
def test_trailers_are_asked_for_by_tmdbs_codes_too(sandbox, settings, ours, asked):
    settings.TMDB_LANGUAGE = ours
    read(603)
    (request,) = sandbox.tmdb.requests_of("/movie/603")
    assert set(request.query["include_video_language"].split(",")) == asked


# --- Titles

INVISIBLE = ["\u200b", "\u00ad\u2060", "\ufeff", "\u3164", "\u2800 \u2800", "\u115f\u1160", "\uffa0", "\u200e\u200f",
             "\u034f\ufe0f", "\u0301", "\u180e", "\U000e0020", "\u00a0"]  # fmt: skip


@pytest.mark.parametrize("title", INVISIBLE, ids=ascii)
def test_a_title_of_invisible_letters_falls_back_to_the_original(sandbox, title):
    sandbox.tmdb.change(603, extra={"title": title, "overview": title})
    movie = read(603)
    assert (movie.title, movie.overview) == ("The Matrix", sandbox.tmdb.films[603].overview_en)
    sandbox.tmdb.change(603, extra={"original_title": title})
    assert read(603).original_title == "Матрица"


def test_what_joins_or_turns_visible_letters_stays(sandbox):
    title = "نمی\u200cدانم 👨\u200d👩\u200d👧 é"
    sandbox.tmdb.change(603, extra={"title": title})
    assert read(603).title == title


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n\n ", "\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\t"], ids=ascii)
def test_a_line_break_in_a_title_or_name_is_a_space(sandbox, end):
    title = f"Матрица{end}Перезагрузка"
    sandbox.tmdb.change(603, extra={"title": title, "original_title": title, "overview": "Раз.\nДва."})
    movie = read(603)
    assert (movie.title, movie.original_title) == ("Матрица Перезагрузка", "Матрица Перезагрузка")
    assert movie.overview == "Раз.\nДва."
    sandbox.tmdb.change(604, directors=[[f"Лана{end}Вачовски", f"Lana{end}Wachowski"]])
    assert read(604).directors == [{"name": "Лана Вачовски", "original_name": "Lana Wachowski"}]


# --- Which come first


def listed(movie_id, **fields):
    return Movie.objects.create(pk=movie_id, title=f"Film {movie_id}", **fields)


def test_first_comes_what_somebody_looks_at_then_imports_by_place_then_the_others(sandbox, monkeypatch):
    monkeypatch.setattr(details, "MAX_CLAIMED", details.THREADS + 1)
    films = sandbox.tmdb.add_films(7)
    known(sandbox, films[0], 4)
    for film in films[1:]:
        listed(film)
    large, small = [films[2], films[3]], [films[4]]
    Movie.objects.filter(pk=large[0]).prioritize_details(PosterPriority.IMPORT, place=0)
    Movie.objects.filter(pk=large[1]).prioritize_details(PosterPriority.IMPORT, place=5000)
    Movie.objects.filter(pk=small[0]).prioritize_details(PosterPriority.IMPORT, place=3)
    assert details.request_details(Movie.objects.get(pk=films[5]))
    order = []
    while not order or order[-1] != films[0]:
        details.DetailsWorker(Run(limit=1)).work()
        order = asked(sandbox)
    assert order == [films[5], large[0], small[0], large[1], films[1], films[6], films[0]]


def test_a_film_that_somebody_looks_at_keeps_its_priority_when_an_import_wants_it(sandbox):
    listed(603, details_priority=PosterPriority.ASKED)
    assert not Movie.objects.filter(pk=603).prioritize_details(PosterPriority.IMPORT, place=7)


def test_a_list_row_names_a_film_of_which_only_the_id_was_known(sandbox):
    Movie.objects.create(pk=13, search_text="|")
    assert find_movies("форрест гамп").movies[0].title == "Форрест Гамп"
    assert Movie.objects.get(pk=13).poster_status == PosterStatus.WAITING


# --- What is read again


def test_a_film_is_read_again_after_three_months_and_not_before(sandbox):
    known(sandbox, 603, 3.1)
    known(sandbox, 550, 2.9)
    tasks.read_details()
    assert asked(sandbox) == [603]
    assert Movie.objects.get(pk=603).details_at > time.time() - 60
    tasks.read_details()
    assert asked(sandbox) == [603]


def test_everything_that_changed_is_updated(sandbox):
    before = known(sandbox, 603, 4)
    sandbox.tmdb.change(
        603,
        title_ru="Матрица: заново",
        overview_ru="Другое описание.",
        release_date="2001-02-03",
        vote_average=1.5,
        vote_count=77,
        runtime=99,
        poster="/another603.jpg",
    )
    Movie.objects.filter(pk=603).update(poster_status=PosterStatus.TELEGRAM, telegram_file_id="old")
    tasks.read_details()
    movie = Movie.objects.get(pk=603)
    assert (movie.title, movie.overview) == ("Матрица: заново", "Другое описание.")
    assert (movie.release_date, movie.year) == (datetime.date(2001, 2, 3), 2001)
    assert (movie.vote_average, movie.vote_count, movie.runtime) == (1.5, 77, 99)
    assert movie.poster_path != before.poster_path
    assert (movie.poster_status, movie.telegram_file_id) == (PosterStatus.WAITING, "old")


def test_a_film_that_did_not_change_keeps_its_poster(sandbox):
    known(sandbox, 603, 4, poster_status=PosterStatus.TELEGRAM, telegram_file_id="kept")
    tasks.read_details()
    movie = Movie.objects.get(pk=603)
    assert (movie.poster_status, movie.telegram_file_id) == (PosterStatus.TELEGRAM, "kept")


def test_a_film_that_is_gone_from_tmdb_is_kept_with_its_ratings_and_poster(sandbox):
    movie = known(sandbox, 603, 4, poster_status=PosterStatus.TELEGRAM, telegram_file_id="kept")
    anna = User.objects.create(pk=501)
    Rating.objects.create(user=anna, movie=movie, tmdb_rating=8, normalized_rating=8, rated_at=1)
    sandbox.tmdb.gone(603)
    assert "1 gone" in tasks.read_details()
    movie.refresh_from_db()
    assert (movie.title, movie.telegram_file_id, movie.ratings.count()) == ("Матрица", "kept", 1)
    tasks.read_details()
    assert asked(sandbox) == [603]


def test_a_film_that_fails_goes_to_the_back_and_holds_up_no_other(sandbox, monkeypatch):
    monkeypatch.setattr(details, "FIRST_RETRIES_SECONDS", (60, 60, 60))
    known(sandbox, 603, 4.9)
    known(sandbox, 550, 3.5)
    sandbox.tmdb.fail("^/3/movie/603$", status=500, times=None)
    for _ in range(3):
        tasks.read_details(limit=1)
    assert list(dict.fromkeys(asked(sandbox))) == [603, 550]
    sandbox.faults.clear()
    Movie.objects.update(details_next_try_at=0)
    tasks.read_details()
    assert Movie.objects.get(pk=603).details_at > time.time() - 60


def test_a_tmdb_that_is_down_stops_the_run_and_loses_nothing(sandbox):
    for movie_id in sandbox.tmdb.add_films(10):
        known(sandbox, movie_id, 4)
    sandbox.tmdb.fail("^/3/movie/", status=503, times=None)
    sandbox.tmdb.fail("^/3/authentication$", status=503, times=None)
    assert "TMDb does not answer" in tasks.read_details()
    assert Movie.objects.filter(details_error="", details_attempts=0).count() == 10
    sandbox.faults.clear()
    tasks.read_details()
    assert Movie.objects.filter(details_at__gt=time.time() - 60).count() == 10


def test_a_wrong_key_stops_the_run_at_once(sandbox, settings):
    known(sandbox, 603, 4)
    known(sandbox, 550, 4)
    settings.TMDB_API_KEY = "0" * 32
    assert "TMDB_API_KEY" in tasks.read_details(limit=2)
    assert Movie.objects.filter(details_error="", details_attempts=0).count() == 2


def test_an_error_of_tmdbs_is_tried_a_few_times_then_ever_more_rarely(sandbox):
    listed(603)
    listed(550)
    sandbox.tmdb.fail("^/3/movie/603$", status=500, times=None)
    tasks.read_details()
    film = Movie.objects.get(pk=603)
    assert asked(sandbox).count(603) == 4
    assert "500" in film.details_error
    assert 500 < film.details_next_try_at - time.time() <= 600
    assert Movie.objects.get(pk=550).details_at
    Movie.objects.update(details_next_try_at=0)
    tasks.read_details()
    assert 1700 < Movie.objects.get(pk=603).details_next_try_at - time.time() <= 1800


def test_a_film_that_is_gone_is_asked_for_again_ever_more_rarely(sandbox):
    listed(603)
    sandbox.tmdb.gone(603)
    for weeks in (1, 2, 4):
        Movie.objects.update(details_next_try_at=0)
        tasks.read_details()
        pause = Movie.objects.get(pk=603).details_next_try_at - time.time()
        assert weeks * 7 * 86_400 - 60 < pause <= weeks * 7 * 86_400


def test_what_a_killed_worker_had_claimed_is_read_when_the_claim_has_expired(sandbox):
    listed(603)
    worker = details.DetailsWorker(Run())
    assert worker._claim(5)
    assert "0 done" in tasks.read_details()
    Movie.objects.update(details_next_try_at=int(time.time()))
    assert "1 done" in tasks.read_details()


def test_a_film_that_an_operator_wants_read_again_is_read_first(sandbox):
    known(sandbox, 603, 4)
    known(sandbox, 550, 0)
    Movie.objects.filter(pk=550).reread_details()
    tasks.read_details(limit=1)
    assert asked(sandbox) == [550]


# --- A card that was sent before


def test_a_card_sent_before_its_details_is_completed_when_they_come(sandbox, ask, anna):
    sandbox.tmdb.add_film(5001, title_en="Untranslated", overview_en="A story.", runtime=90, release_date="2001-01-01")
    card = ask("untranslated")
    assert "1 h 30 min" not in card.caption
    tasks.read_details()
    assert "1 h 30 min" in anna.chat[-1].caption
    assert "A story." in anna.chat[-1].caption
    assert anna.chat[-1].id == card.id
    assert anna.chat[-1].buttons == card.buttons
    assert not PendingCard.objects.exists()


def test_a_card_without_a_poster_is_completed_too_and_keeps_further_buttons(sandbox, ask, anna):
    sandbox.tmdb.add_film(5001, title_en="Untranslated", runtime=90, poster=None)
    card = ask("untranslated")
    assert "1 h 30 min" not in card.text
    tasks.read_details()
    assert "1 h 30 min" in anna.chat[-1].text
    assert anna.chat[-1].buttons == card.buttons


def test_a_film_that_tmdb_does_not_show_has_its_card_and_waits_for_nothing(sandbox, ask):
    listed(603, details_error="gone", search_text="matrix")
    ask("/movie 603")
    assert not PendingCard.objects.exists()


# --- The command


def test_the_command_shows_counts_and_ends_with_a_status(sandbox, capsys):
    known(sandbox, 603, 4)
    call_command("refresh_movies")
    assert "Films: 1 done, 0 gone from TMDb, 0 failed" in capsys.readouterr().out
    known(sandbox, 603, 4)
    sandbox.tmdb.fail("^/3/movie/603$", status=500, times=None)
    with pytest.raises(CommandError):
        call_command("refresh_movies")
