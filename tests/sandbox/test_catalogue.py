"""The catalogue is large, well formed and odd where TMDb is odd; its posters are drawn the same every time."""

import io
import re

import pytest
from PIL import Image

from sandbox.server import Sandbox
from sandbox.tmdb import catalogue, poster_art
from sandbox.tmdb.catalogue import GENRES, Film
from sandbox.tmdb.responses import COUNTRIES, LANGUAGES

FILMS = catalogue.films()


def test_there_are_at_least_160_films_with_titles_in_russian_and_english():
    assert len(FILMS) >= 160
    assert (
        sum(bool(film.title_ru and film.title_en and film.overview_ru and film.overview_en) for film in FILMS.values())
        >= 160
    )


@pytest.mark.parametrize(
    ("film_id", "title", "original", "year"),
    [
        (603, "Матрица", "The Matrix", "1999"),
        (497, "Зелёная миля", "The Green Mile", "1999"),
        (1398, "Сталкер", "Сталкер", "1979"),
        (36129, "Ёжик в тумане", "Ёжик в тумане", "1975"),
        (129, "Унесённые призраками", "千と千尋の神隠し", "2001"),
        (670, "Олдбой", "올드보이", "2003"),
        (194, "Амели", "Le fabuleux destin d'Amélie Poulain", "2001"),
    ],
)
def test_well_known_films_are_there(film_id, title, original, year):
    film = FILMS[film_id]
    assert (film.title_ru, film.original_title, film.year) == (title, original, year)


def test_every_film_is_well_formed():
    for film in FILMS.values():
        assert film.id > 0
        assert film.original_title
        assert re.fullmatch(r"(\d{4}-\d\d-\d\d)?", film.release_date), film
        assert film.imdb_id is None or re.fullmatch(r"tt\d{7,}", film.imdb_id), film
        assert set() < set(film.genre_ids) <= set(GENRES), film
        assert film.poster_path is None or re.fullmatch(r"/\w{27}\.jpg", film.poster_path), film
        assert 0 <= film.vote_average <= 10, film
        assert film.vote_count >= 0, film
        assert film.runtime is None or film.runtime >= 0, film
    paths = [film.poster_path for film in FILMS.values() if film.poster_path]
    assert len(set(paths)) == len(paths)


@pytest.fixture(scope="module")
def demo():
    """What the chat page is tried with."""
    return Sandbox(demo=True).tmdb


def test_the_demonstration_knows_sixty_films_of_the_last_years_completely(demo):
    recent = [film for film in demo.films.values() if "2017" <= film.year <= "2026"]
    complete = [
        film
        for film in recent
        if film.overview_ru and film.overview_en and film.genre_ids and film.countries and film.directors
    ]
    assert len(complete) >= 60
    assert sum(bool(film.trailers) for film in recent) >= 20
    for film in complete:
        assert re.fullmatch(r"tt\d{7,}", film.imdb_id), film
        assert set(film.genre_ids) <= set(GENRES), film
        assert set(film.countries) <= set(COUNTRIES), film
        assert film.original_language in LANGUAGES, film
    assert {film.year for film in demo.films.values() if film.title_ru == "Дюна"} == {"1984", "2021"}


def test_the_second_account_rates_enough_of_the_same_films_otherwise(demo):
    ours, theirs = demo.account("demo").ratings, demo.account("boris").ratings
    common = ours.keys() & theirs.keys()
    assert len(common) >= 10
    assert any(abs(ours[film_id] - theirs[film_id]) >= 4 for film_id in common)
    assert set(demo.account("demo").watchlist) & set(demo.account("boris").watchlist), "an evening has what both want"
    assert set(theirs) <= demo.films.keys()


def test_some_films_are_odd():
    films = FILMS.values()
    assert any(film.poster_path is None for film in films)
    assert any(film.release_date == "" for film in films)
    assert any(film.runtime == 0 for film in films)
    assert any(film.runtime is None for film in films)
    assert any(not film.title_ru and film.original_language in ("ja", "ko") for film in films)
    assert any(not film.overview_ru and film.overview_en for film in films)
    assert any(not film.overview_ru and not film.overview_en for film in films)


def test_the_demo_account_has_rated_sixty_films_we_have():
    ratings = catalogue.demo_ratings()
    assert len(dict(ratings)) == len(ratings) == 60
    assert all(film_id in FILMS and 0.5 <= value <= 10 and value * 2 % 1 == 0 for film_id, value in ratings)
    assert any(value % 1 for _, value in ratings)
    assert {value for _, value in ratings} >= {0.5, 10.0}


def test_each_reader_gets_their_own_films():
    catalogue.films()[603].title_ru = "Другая"
    catalogue.films()[603].genre_ids.append(18)
    assert catalogue.films()[603].title_ru == "Матрица"
    assert catalogue.films()[603].genre_ids == [28, 878]


def test_a_poster_has_the_right_size_and_is_the_same_every_time():
    film = FILMS[603]
    first = poster_art.draw(film)
    poster_art._poster.cache_clear()
    assert poster_art.draw(film) == first
    picture = Image.open(io.BytesIO(first))
    assert picture.format == "JPEG"
    assert picture.size == (500, 750)
    assert poster_art.draw(FILMS[604]) != first


@pytest.mark.parametrize("look", sorted(poster_art.COMPOSITIONS))
def test_every_composition_can_be_drawn(look):
    genre = next(genre for genre, row in poster_art.LOOKS.items() if row[0] == look)
    film = Film(7, title_ru="Проба", original_title="A Try", release_date="2001-02-03", genre_ids=[genre])
    assert Image.open(io.BytesIO(poster_art.draw(film, "w92"))).size == (92, 138)


@pytest.mark.parametrize(
    "title", ["", "Щ", "Очень " * 40, "Достопримечательностиисследовательница", "千と千尋の神隠し", "x" * 2000]
)
def test_any_title_fits(title):
    film = Film(8, title_ru=title, original_title=title, release_date="", genre_ids=[])
    assert poster_art.draw(film, "w185").startswith(b"\xff\xd8")


def test_letters_we_cannot_draw_give_way_to_those_we_can():
    assert poster_art.readable("Ёлки")
    assert poster_art.readable("Amélie — №1")
    assert not poster_art.readable("千と")
    assert FILMS[378064].title("ru") == "聲の形"
    assert poster_art.draw(FILMS[378064]).startswith(b"\xff\xd8")
