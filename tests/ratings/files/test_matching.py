"""Which film a row is: never a guess, and never silently another than the row says."""

import pytest

from movies.models import Movie
from ratings.files.matching import Matcher
from ratings.files.rows import Row
from tests.helpers.files import film

pytestmark = pytest.mark.django_db


@pytest.fixture
def match(sandbox):
    """match(title="Heat", year=1995): (movie id or None, candidates, why it was left out)."""

    def find(**what):
        row = Row(**what)
        found = Matcher().match([row]).get(id(row))
        return (*found, row.skip_reason) if found else (None, (), row.skip_reason)

    return find


def twins(sandbox, *years, title="Twins"):
    for number, year in enumerate(years):
        sandbox.tmdb.add_film(7_000_001 + number, title_en=title, title_ru="Близнецы", release_date=f"{year}-06-01")
    return tuple(7_000_001 + number for number in range(len(years)))


def test_two_films_of_one_name_and_year_are_asked_about(sandbox, match):
    both = twins(sandbox, 2005, 2005)
    assert match(title="Twins", year=2005) == (None, both, "")
    assert match(title="Близнецы", year=2005) == (None, both, "")


def test_they_are_also_where_the_table_knows_only_one_of_them(sandbox, match):
    both = twins(sandbox, 2005, 2005)
    film(7_000_001, "Twins", 2005)
    assert match(title="Twins", year=2005) == (None, both, "")


def test_a_year_off_by_one_is_the_film_where_it_is_the_only_one_of_that_name(sandbox, match):
    first, second = twins(sandbox, 2005, 2010)
    assert match(title="Twins", year=2006)[0] == first
    assert match(title="Twins", year=2007) == (None, (first, second), "")
    twins(sandbox, 2005, 2007)
    assert match(title="Twins", year=2006) == (None, (first, second), "")
    assert match(title="Twins", year=2005)[0] == first, "that very year goes before"


@pytest.mark.parametrize("title", ["Matrix, The", "the MATRIX", "Матрица", "«Матрица»", "The Matrix"])
def test_a_title_is_compared_as_people_write_it(match, title):
    assert match(title=title, year=1999)[0] == 603


def test_and_is_and_however_it_is_written(sandbox, match):
    sandbox.tmdb.add_film(7_000_001, title_en="Zyx and Yxz", release_date="2005-06-01")
    assert match(title="Zyx & Yxz", year=2005)[0] == 7_000_001


def test_a_film_is_found_by_a_title_that_only_another_country_knows(sandbox, match):
    sandbox.tmdb.add_film(
        7_000_001, title_en="Zyx", title_ru="Зикс", release_date="2005-06-01", alternative_titles=["The Yxz Affair"]
    )
    assert match(title="The Yxz Affair", year=2005)[0] == 7_000_001
    assert match(title="Yxz Affair", year=2005) == (None, (7_000_001,), "")


def test_a_title_alone_is_asked_about(sandbox, match):
    twins(sandbox, 2005)
    assert match(title="Twins") == (None, (7_000_001,), "")
    assert match(title="No such thing at all", year=1950) == (None, (), "")


def test_the_id_of_a_series_rates_no_film(sandbox, match):
    sandbox.tmdb.add_film(1396, title_en="Mirror", title_ru="Зеркало", release_date="1975-03-07")
    sandbox.tmdb.add_series(1396, "Breaking Bad", "2008-01-20", "tt0903747")
    assert match(tmdb_id=1396, imdb_id="tt0903747", title="Breaking Bad", year=2008) == (None, (), "no_film")
    assert match(tmdb_id=1396, title="Breaking Bad", year=2008) == (None, (1396,), "")
    assert match(tmdb_id=1396, title="Mirror", year=1974)[0] == 1396
    assert match(tmdb_id=1396)[0] == 1396


def test_an_id_whose_film_has_only_the_rows_year_is_asked_about_where_the_title_is_anothers(sandbox, match):
    for number, title in enumerate(("Zyx", "Yxz")):
        sandbox.tmdb.add_film(7_000_001 + number, title_en=title, release_date="2019-06-01")
    sandbox.tmdb.add_series(7_000_001, "Chernobyl", "2019-05-06", "tt7366338")
    assert match(tmdb_id=7_000_001, title="Chernobyl", year=2019) == (None, (7_000_001,), "")
    assert match(tmdb_id=7_000_001, title="Yxz", year=2019) == (None, (7_000_002, 7_000_001), "")
    assert match(tmdb_id=7_000_001, title="Zyx: A Film", year=2019)[0] == 7_000_001, "nobody else has that title"


def test_two_ids_that_disagree_are_decided_by_the_title(sandbox, match):
    assert match(imdb_id="tt0133093", tmdb_id=680, title="Pulp Fiction", year=1994)[0] == 680
    assert match(imdb_id="tt0133093", tmdb_id=680, title="The Matrix", year=1999)[0] == 603
    found, candidates, _reason = match(imdb_id="tt0133093", tmdb_id=680, title="Zyx", year=1999)
    assert (found, set(candidates)) == (None, {603, 680})


def test_an_id_that_tmdb_has_merged_is_that_of_its_successor(sandbox, match):
    sandbox.tmdb.add_film(7_000_002, title_en="Zyx", release_date="2005-06-01")
    sandbox.tmdb.merge(7_000_002, 603)
    assert match(tmdb_id=7_000_002, title="The Matrix", year=1999)[0] == 603


def test_who_directed_the_candidates_is_known(sandbox, match):
    twins(sandbox, 2005, 2005)
    sandbox.tmdb.films[7_000_001].directors = [["Иван", "Ivan"]]
    match(title="Twins", year=2005)
    assert Movie.objects.get(pk=7_000_001).directors[0]["name"] == "Иван"
