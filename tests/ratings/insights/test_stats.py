"""/stats: the statistics are right, the image is drawn for any of them, and the caption says them in words."""

from decimal import Decimal
from io import BytesIO

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from PIL import Image

from movies.models import Movie
from ratings.insights.stats import Opinion, Stats, stats_of
from ratings.insights.stats_image import SIZE, draw_stats, font, stats_caption, summary_tiles
from ratings.models import HALF_POINTS, Rating, normalize
from sandbox.telegram.text import parse_html, utf16
from users.models import User

pytestmark = pytest.mark.django_db


def rate(user_id, movie_id, value, year=None, tmdb=0.0, votes=100, runtime=None, source="manual"):
    User.objects.get_or_create(pk=user_id)
    Movie.objects.create(
        pk=movie_id,
        title=f"Film {movie_id}",
        release_date=f"{year}-05-01" if year else None,
        vote_average=tmdb,
        vote_count=votes,
        runtime=runtime,
    )
    value = Decimal(str(value))
    Rating.objects.create(
        user_id=user_id,
        movie_id=movie_id,
        manual_rating=value if source == "manual" else None,
        tmdb_rating=value if source == "tmdb" else None,
        normalized_rating=normalize(value),
        rated_at=1,
        source=source,
    )


def test_stats_are_an_image_with_the_same_numbers_in_the_caption(sandbox, anna, handle):
    rate(anna.id, 1, 8, 1999, tmdb=6.0, runtime=120)
    rate(anna.id, 2, 8, 1994, tmdb=8.0, runtime=60, source="tmdb")
    rate(anna.id, 3, 3, 2011, tmdb=7.0)
    rate(77, 4, 1, 1950)
    anna.send("/stats")
    handle()
    message = anna.chat[-1]
    assert (message.photo.width, message.photo.height) == (SIZE, SIZE)
    assert message.caption.splitlines() == [
        "3 films rated · 3 hours of film",
        "My mean: 6.3 · TMDb's mean of the same films: 7.0",
        "Most often: 8, for 2 films",
        "",
        "Rated higher than TMDb does:",
        "· Film 1: 8, there 6.0",
        "",
        "Rated lower than TMDb does:",
        "· Film 3: 3, there 7.0",
    ]


def test_without_ratings_it_says_how_to_get_some(anna, handle):
    anna.send("/stats")
    handle()
    assert "no ratings yet" in anna.chat[-1].text
    assert anna.chat[-1].photo is None


def test_in_a_group_no_statistics_are_shown(sandbox, anna, handle):
    rate(anna.id, 1, 8)
    group = sandbox.telegram.group("Film club", [anna])
    anna.send("/stats", chat=group)
    handle()
    assert list(group.messages.values())[-1].photo is None


def test_decades_without_films_are_in_between_and_films_without_a_year_in_none(anna):
    rate(anna.id, 1, 8, 1979), rate(anna.id, 2, 6, 2001), rate(anna.id, 3, 9)
    stats = stats_of(anna.id)
    assert stats.by_decade == {1970: [8], 1980: [], 1990: [], 2000: [6]}
    assert stats.count == 3


def test_films_with_few_votes_do_not_count_for_tmdb(anna):
    rate(anna.id, 1, 8, tmdb=2.0, votes=3)
    assert stats_of(anna.id).tmdb_mean is None
    assert "TMDb" not in stats_caption(stats_of(anna.id))


def test_the_best_decade_needs_some_films_and_a_rival(anna):
    for number in range(3):
        rate(anna.id, number + 1, 6, 1990)
    rate(anna.id, 10, 10, 1950)
    assert stats_of(anna.id).best_decade is None
    for number in range(3):
        rate(anna.id, number + 20, 7, 2000)
    assert stats_of(anna.id).best_decade == (2000, 7, 3)


def test_stats_ask_the_database_once(anna, django_assert_num_queries):
    for number in range(5):
        rate(anna.id, number + 1, 6, 1990)
    with django_assert_num_queries(1):
        stats_of(anna.id)


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_letter_of_the_image_is_in_its_fonts(language):
    with translation.override(language):
        words = "".join(tile.label + tile.number for tile in summary_tiles(Stats(3, 7.5, minutes=60_000_000)))
    alphabet = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ’«»—…\N{NO-BREAK SPACE}"
    for bold in (False, True):
        letters = font(40, bold)
        assert letters.getmask("日").getbbox() is None, "for a letter it does not have the font draws nothing"
        for letter in words + alphabet:
            assert letters.getmask(letter).getbbox() or letter.isspace(), letter


LANGUAGES = st.sampled_from(["ru", "en"])
RATINGS = st.dictionaries(st.sampled_from(HALF_POINTS), st.integers(1, 50_000), min_size=1)
DECADES = st.lists(st.lists(st.sampled_from(HALF_POINTS), max_size=5), max_size=16)
OPINIONS = st.lists(
    st.builds(Opinion, st.text(max_size=300), st.sampled_from(HALF_POINTS), st.floats(0, 10)), max_size=3
)


@bounds(deadline=None, max_examples=25)
@given(RATINGS, DECADES, st.none() | st.floats(0.5, 10), OPINIONS, st.integers(0, 10**9), LANGUAGES)
def test_any_statistics_make_an_image_and_a_caption_for_telegram(by_value, decades, tmdb, films, minutes, language):
    count = sum(by_value.values())
    stats = Stats(
        count=count,
        mean=float(sum(value * number for value, number in by_value.items()) / count),
        minutes=minutes,
        tmdb_mean=tmdb,
        higher=films,
        lower=films,
        by_decade={1880 + 10 * number: values for number, values in enumerate(decades)} if any(decades) else {},
    )
    stats.by_value.update(by_value)
    with translation.override(language):
        image = Image.open(BytesIO(draw_stats(stats)))
        words = parse_html(stats_caption(stats))[0]
    assert image.size == (SIZE, SIZE)
    assert 0 < utf16(words) <= 1024
