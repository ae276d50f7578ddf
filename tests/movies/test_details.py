"""All that a card shows of a film comes with one request, whatever TMDb has translated."""

from typing import Any

import pytest
from django.core.cache import cache

from movies.catalogue import fetch_movie
from movies.models import Movie
from movies.parsing import parse_details
from movies.saving import save_movies
from movies.tmdb import TMDb

pytestmark = pytest.mark.django_db(transaction=True)


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
    assert movie.details_at


def test_the_genres_of_a_list_row_are_there_before_the_details(sandbox):
    from movies.catalogue import find_movies

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
