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
