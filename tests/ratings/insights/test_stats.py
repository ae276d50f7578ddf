"""/stats: the statistics are right, both pictures are drawn for any of them, and the captions say them in words."""

import time
from decimal import Decimal
from io import BytesIO

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from PIL import Image

from movies.models import Movie
from ratings.insights import drawing
from ratings.insights.drawing import HEIGHT, WIDTH, drawable, font
from ratings.insights.stats import Favourite, Opinion, Stats, best_movies, stats_of
from ratings.insights.stats_card import Owner, card_text, draw_stats_card
from ratings.insights.stats_image import SIZE, draw_stats, stats_caption, summary_tiles
from ratings.models import HALF_POINTS, Rating, normalize
from sandbox.telegram.text import parse_html, utf16
from users.models import User

pytestmark = pytest.mark.django_db


def rate(user_id, movie_id, value, year=None, tmdb=0.0, votes=100, runtime=None, source="manual", rated_at=1, **fields):
    User.objects.get_or_create(pk=user_id)
    Movie.objects.create(
        pk=movie_id,
        title=f"Film {movie_id}",
        release_date=f"{year}-05-01" if year else None,
        vote_average=tmdb,
        vote_count=votes,
        runtime=runtime,
        **fields,
    )
    value = Decimal(str(value))
    Rating.objects.create(
        user_id=user_id,
        movie_id=movie_id,
        manual_rating=value if source == "manual" else None,
        tmdb_rating=value if source == "tmdb" else None,
        normalized_rating=normalize(value),
        rated_at=rated_at,
        source=source,
    )


def rate_five(person, **fields):
    for movie_id in range(101, 106):
        rate(person.id, movie_id, 8, **fields)


def tap(person, handle, text):
    query = person.press(person.chat[-1], text)
    handle()
    return query.answer


def uploads(sandbox):
    calls = sandbox.telegram.calls_of("sendPhoto") + sandbox.telegram.calls_of("editMessageMedia")
    return sum(bool(call.files) for call in calls)


def test_more_figures_are_a_second_picture_with_the_same_numbers_in_its_caption(sandbox, anna, handle):
    rate(anna.id, 1, 8, 1999, tmdb=6.0, runtime=120)
    rate(anna.id, 2, 8, 1994, tmdb=8.0, runtime=60, source="tmdb")
    rate(anna.id, 3, 3, 2011, tmdb=7.0)
    rate(anna.id, 5, 7), rate(anna.id, 6, 7)
    rate(77, 4, 1, 1950)
    anna.send("/stats")
    handle()
    first = anna.chat[-1]
    tap(anna, handle, "More figures")
    assert anna.chat[-2] is first
    assert anna.chat[-1].caption.splitlines() == [
        "5 films rated · 3 hours of film",
        "Your average: 6.6 · TMDb average: 7.0",
        "Most-used rating: 8 (2 films)",
        "",
        "You liked these more than TMDb viewers:",
        "· Film 1: you 8, TMDb 6.0",
        "",
        "You liked these less than TMDb viewers:",
        "· Film 3: you 3, TMDb 7.0",
    ]


def test_stats_are_a_portrait_drawn_once_for_the_same_figures(sandbox, anna, handle):
    rate_five(anna, runtime=120)
    for _time in range(2):
        anna.send("/stats")
        handle()
    message = anna.chat[-1]
    assert (message.photo.width, message.photo.height) == (1024, 1280), "as Telegram scales 1080 × 1350"
    assert message.caption.startswith("5 films · 10 hours of film")
    assert [[button.text for button in row] for row in message.buttons] == [["Share"], ["This year", "More figures"]]
    assert uploads(sandbox) == 1
    rate(anna.id, 200, 10)
    anna.send("/stats")
    handle()
    assert uploads(sandbox) == 2


def test_a_picture_that_telegram_no_longer_knows_is_drawn_again(sandbox, anna, handle):
    rate_five(anna)
    anna.send("/stats")
    handle()
    sandbox.telegram.forget_file(anna.chat[-1].photo.file_id)
    anna.send("/stats")
    handle()
    assert anna.chat[-1].photo
    assert uploads(sandbox) == 2


def test_a_picture_that_telegram_refuses_is_told_in_words_with_its_buttons(sandbox, anna, handle):
    rate_five(anna, rated_at=int(time.time()))
    for method in ("sendPhoto", "editMessageMedia"):
        sandbox.telegram.fail(method, status=400, description="Bad Request: IMAGE_PROCESS_FAILED", times=None)
    anna.send("/stats")
    handle()
    assert anna.chat[-1].text.startswith("5 films")
    tap(anna, handle, "This year")
    assert anna.chat[-1].text.startswith(f"{time.localtime().tm_year} · 5 films")
    tap(anna, handle, "More figures")
    assert anna.chat[-1].text.startswith("5 films rated")


def test_posters_come_from_telegram_once_and_never_from_tmdb(sandbox, anna, handle, settings, tmp_path):
    settings.THUMBNAIL_DIR = tmp_path
    content = BytesIO()
    Image.new("RGB", (600, 900), "red").save(content, "JPEG")
    for movie_id in range(101, 106):
        photo = sandbox.telegram.keep_photo(sandbox.telegram.bot, content.getvalue())[-1]
        rate(anna.id, movie_id, 8, poster_status=2, poster_path="/x.jpg", telegram_file_id=photo.file_id)
    anna.send("/stats")
    handle()
    assert len(sandbox.telegram.calls_of("getFile")) == 5
    rate(anna.id, 300, 2)
    anna.send("/stats")
    handle()
    assert len(sandbox.telegram.calls_of("getFile")) == 5
    assert sandbox.tmdb.requests == []


def test_a_year_counts_only_ratings_with_a_real_date(anna, handle):
    now = int(time.time())
    for movie_id in range(1, 6):
        rate(anna.id, movie_id, 7, source="tmdb", rated_at=now)
    anna.send("/stats")
    handle()
    assert "fewer than five ratings with a date" in tap(anna, handle, "This year").text
    rate_five(anna, rated_at=now)
    anna.send("/stats")
    handle()
    card = anna.chat[-1]
    tap(anna, handle, "This year")
    assert anna.chat[-1] is card, "edited in place"
    assert card.caption.startswith(f"{time.localtime().tm_year} · 5 films")
    tap(anna, handle, "All time")
    assert card.caption.startswith("10 films")


def test_a_picture_whose_message_is_gone_is_sent_anew(sandbox, anna, handle):
    rate_five(anna, rated_at=int(time.time()))
    anna.send("/stats")
    handle()
    card = anna.chat[-1]
    anna.press(card, "This year")
    sandbox.telegram.delete_message(card)
    handle()
    assert anna.chat[-1].photo
    assert anna.chat[-1] is not card


def test_the_picture_is_shared_by_inline_mode_with_nobody_but_its_owner(sandbox, anna, handle):
    boris = sandbox.telegram.person("Boris", language_code="en")
    rate_five(anna)
    anna.send("/stats")
    handle()
    text = anna.chat[-1].button("Share").switch_inline
    query = anna.inline(text)
    handle()
    (result,) = query.wait()
    group = sandbox.telegram.group("Friends", [anna, boris])
    posted = anna.choose(query, result, group)
    assert posted.photo.file_id == anna.chat[-1].photo.file_id
    other = boris.inline(text)
    handle()
    assert other.wait() == []
    assert other.button["start_parameter"] == "stats"


def test_below_five_ratings_it_says_how_to_get_them(anna, handle):
    anna.send("/stats")
    handle()
    assert "no ratings yet" in anna.chat[-1].text
    rate(anna.id, 1, 8), rate(anna.id, 2, 8)
    anna.send("/start stats")
    handle()
    assert anna.chat[-1].text == "Rate 3 more films, and I will draw your picture."
    assert anna.chat[-1].buttons
    assert anna.chat[-1].photo is None


def test_favourites_need_some_films_and_are_drawn_towards_the_mean(anna):
    for movie_id in range(1, 11):
        rate(anna.id, movie_id, 8, genres=[18], directors=[{"name": "Одна", "original_name": "One"}], countries=["FR"])
    rate(anna.id, 20, 10, genres=[27, 99], countries=["JP"])
    rate(anna.id, 21, 2, genres=[27])
    stats = stats_of(anna.id)
    assert [one.key for one in stats.genres] == [18, 27]
    assert stats.countries == [Favourite("FR", 8, 10)]
    with translation.override("en"):
        assert "Directors: One" in card_text(stats_of(anna.id))
    with translation.override("ru"):
        assert "Режиссёры: Одна" in card_text(stats_of(anna.id))


def test_the_best_films_are_rated_highest_and_of_equals_have_a_poster(anna):
    rate(anna.id, 1, 9, votes=5000)
    rate(anna.id, 2, 9, votes=10, poster_status=2, telegram_file_id="f")
    rate(anna.id, 3, 10, votes=0)
    rate(anna.id, 4, 1)
    assert [movie.pk for movie in best_movies(anna.id)] == [3, 2, 1, 4]


@pytest.mark.parametrize("size", [(1, 600), (400, 1), (1, 1), (400, 600), (306, 376)])
def test_a_poster_of_any_shape_fills_its_place(size):
    assert drawing.cropped(Image.new("RGB", size, "red"), 306, 376).size == (306, 376)


def test_what_no_font_has_is_left_out():
    assert drawable("Анна 🎬👩‍🚀 Ł️") == "Анна Ł"
    assert drawable("🎬") == ""


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
        letters = font(0, 40, bold)
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


@bounds(deadline=None, max_examples=25)
@given(RATINGS, DECADES, st.none() | st.floats(-9, 9), st.text(max_size=64), st.lists(st.text(max_size=200)), LANGUAGES)
def test_any_person_has_a_portrait(by_value, decades, kindness, name, titles, language):
    count = sum(by_value.values())
    stats = Stats(count=count, mean=7, minutes=count * 90, kindness=kindness)
    stats.by_value.update(by_value)
    stats.directors = [Favourite(title, 8, 2) for title in titles if title][:6]
    stats.by_decade = {1880 + 10 * number: values for number, values in enumerate(decades)} if any(decades) else {}
    movies = [Movie(pk=number, title=title, year=None) for number, title in enumerate(titles[:6])]
    for movie in movies:
        movie.user_rating = Decimal("9.5")
    posters = {0: Image.new("RGB", (1, 600))}
    with translation.override(language):
        image = Image.open(BytesIO(draw_stats_card(stats, Owner(name, "kinoteka_bot"), movies, posters, None)))
        assert utf16(card_text(stats)) <= 1024
    assert image.size == (WIDTH, HEIGHT)


def test_a_picture_waits_for_another_and_says_so_where_that_takes_long(anna, handle, monkeypatch):
    monkeypatch.setattr(drawing, "MAX_DRAWING_WAIT_SECONDS", 0.01)
    rate_five(anna)
    with drawing.drawing_slot():
        anna.send("/stats")
        handle()
    assert "in a minute" in anna.chat[-1].text
    tap(anna, handle, "Try again")
    assert anna.chat[-1].photo
