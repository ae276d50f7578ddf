"""Cards, lists and their buttons stay within Telegram's limits, whatever a film or a search is called."""

import os
from datetime import date, timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from django.utils import translation
from django.utils.formats import date_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from config.bot.replies import keyboard
from config.bot.router import bot
from movies.bot import Search, search_page
from movies.cards import (
    buttons,
    caption,
    display_title,
    format_rating,
    format_runtime,
    strip_tags,
    truncate,
    utf16_length,
)
from movies.catalogue import Found
from movies.models import Movie, normalize_title
from movies.parsing import MAX_MOVIE_ID, parse_movie
from movies.query import Query
from movies.tmdb import Unavailable
from ratings.models import HALF_POINTS

# Letters of every script, emoji of many units, characters that change the direction, markup, half a surrogate pair, NUL
PIECES = ["👩\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈", "é", "ف", "\u202e", "<b>", "&amp;", "\ud83d", "\0", " ", "\n", "|"]
PATCHWORK = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=40).map("".join)
LONG = st.builds(lambda text, times: (text * times)[:4000], PATCHWORK, st.integers(1, 4000))
TEXT = st.text() | PATCHWORK | LONG

FILMS = st.builds(
    Movie,
    id=st.integers(1, MAX_MOVIE_ID),
    title=TEXT,
    original_title=TEXT,
    overview=TEXT,
    release_date=st.none() | st.dates(date(1, 1, 1)),
    runtime=st.none() | st.integers(0, 100_000),
    vote_average=st.floats(0, 10),
    vote_count=st.integers(0, MAX_MOVIE_ID),
)


@st.composite
def films(draw):
    movie = draw(FILMS)
    movie.year = movie.release_date and movie.release_date.year
    movie.user_rating = draw(st.none() | st.sampled_from(HALF_POINTS))
    return movie


# The same examples every time: a suite that is green stays so; HYPOTHESIS_EXAMPLES=5000 looks for more.
checked = settings(
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "60")),
    derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def data_of(markup):
    return [button.callback_data for row in markup.keyboard for button in row if button.callback_data]


@pytest.fixture
def chat(sandbox):
    """The id of a chat that the bot may write to."""
    anna = sandbox.telegram.person("Anna")
    anna.send("/start")
    return anna.id


@checked
@given(movie=films(), language=st.sampled_from(["ru", "en"]))
def test_telegram_takes_every_card(chat, movie, language):
    with translation.override(language):
        text, markup = caption(movie), keyboard(*buttons(movie))
    assert utf16_length(strip_tags(text)) <= 1024
    assert all(len(data.encode()) <= 64 for data in data_of(markup))
    bot.send_message(chat, text, reply_markup=markup)


@checked
@given(movie=films())
def test_telegram_takes_every_caption(chat, poster, movie):
    bot.send_photo(chat, poster, caption(movie), reply_markup=keyboard(*buttons(movie)))


@pytest.fixture
def poster(sandbox, chat):
    picture = BytesIO()
    Image.new("RGB", (40, 60)).save(picture, "JPEG")
    return bot.send_photo(chat, picture.getvalue()).photo[-1].file_id


@checked
@given(
    found=st.lists(films(), min_size=2, max_size=20),
    text=TEXT,
    asker=st.none() | st.integers(1, 2**52),
    hidden=st.booleans(),
)
def test_telegram_takes_every_page_of_every_list(chat, found, text, asker, hidden):
    for page in range((len(found) - 1) // 8 + 1):
        contents = search_page(Found(found, hidden), Search(text, asker), "more", page)
        assert all(1 <= len(data.encode()) <= 64 for data in data_of(contents["reply_markup"]))
        bot.send_message(chat, **contents)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(None, ""), (0, ""), (45, "45 мин"), (60, "1 ч"), (61, "1 ч 1 мин"), (120, "2 ч"), (1440, "24 ч")],
)
def test_the_running_time_has_no_empty_part(minutes, words):
    with translation.override("ru"):
        assert format_runtime(Movie(id=1, runtime=minutes)) == words


@checked
@given(text=TEXT, most=st.integers(2, 300))
def test_a_shortened_text_is_never_too_long(text, most):
    assert utf16_length(truncate(text, most)) <= most


@checked
@given(text=TEXT)
def test_every_film_has_a_name(text):
    assert display_title(Movie(id=603, title=text, original_title=text), 100).strip()


@checked
@given(text=TEXT)
def test_every_text_can_be_searched_for(text):
    query = Query.parse(text)
    assert query.movie_id is None or query.movie_id >= 0
    query.words.encode()


@checked
@given(text=TEXT)
def test_a_search_finds_every_film_by_its_own_title(text):
    """What the table keeps of a title holds each word that the search makes of it."""
    movie = parse_movie({"id": 1, "title": text or "x", "original_title": "x"})
    kept = normalize_title(movie.title)
    assert all(word in kept for word in Query(title=movie.title).words.split())
    assert "|" not in kept


@checked
@given(
    reply=st.dictionaries(
        st.sampled_from(["id", "title", "overview", "runtime", "poster_path", "release_date"]),
        TEXT | st.integers() | st.none(),
    )
)
def test_what_tmdb_answers_becomes_a_row_or_is_refused(reply):
    try:
        movie = parse_movie(reply)
    except Unavailable:
        return
    for text in (movie.title, movie.original_title, movie.overview):
        assert "\0" not in text
        text.encode()


@pytest.mark.parametrize(("rating", "written"), [("0.5", "0.5"), ("1", "1"), ("7.5", "7.5"), ("10", "10")])
def test_a_rating_is_written_as_people_write_it(rating, written):
    assert format_rating(Decimal(rating)) == written


# --- What a card says


def film(**fields):
    movie = Movie(
        id=603, title="Матрица", title_en="The Matrix", original_title="The Matrix",
        overview="Хакер узнаёт правду о мире.", overview_en="A hacker learns the truth.",
        release_date=date(1999, 3, 31), runtime=136, vote_average=8.2, vote_count=25_000,
        countries=["US", "AU", "ZZ"], genres=[878, 28],
        directors=[{"name": "Лана Вачовски", "original_name": "Lana Wachowski"}],
        actors=[{"name": "Киану Ривз", "original_name": "Keanu Reeves"}, {"name": "Руми", "original_name": "柊瑠美"}],
    )  # fmt: skip
    movie.user_rating = None
    for name, value in fields.items():
        setattr(movie, name, value)
    movie.year = movie.release_date and movie.release_date.year
    return movie


def test_a_card_names_everything_once_in_russian():
    with translation.override("ru"):
        assert caption(film(user_rating=Decimal("7.5"))) == (
            "<b>Матрица</b> (1999)\n<i>The Matrix</i>\n"
            "★ 8.2 · США, Австралия · фантастика, боевик · 2 ч 16 мин\n"
            "Режиссёр: Лана Вачовски\nВ ролях: Киану Ривз, Руми\nВаша оценка: <b>7.5</b>\n\n"
            "Хакер узнаёт правду о мире."
        )


def test_a_card_speaks_english_to_who_reads_it():
    with translation.override("en"):
        assert caption(film()) == (
            "<b>The Matrix</b> (1999)\n"
            "★ 8.2 · USA, Australia · science fiction, action · 2 h 16 min\n"
            "Director: Lana Wachowski\nCast: Keanu Reeves, Руми\n\n"
            "A hacker learns the truth."
        )
        assert caption(film(title_en="", overview_en="")).startswith("<b>Матрица</b> (1999)\n<i>The Matrix</i>")


def test_a_score_of_a_few_votes_is_not_shown():
    assert "★" not in caption(film(vote_count=3))


def test_the_date_is_named_of_new_films_only():
    with translation.override("ru"):
        soon, lately = date.today() + timedelta(days=9), date.today() - timedelta(days=9)
        assert f"в кино с {date_format(soon, 'j E')} ·" in caption(film(release_date=soon))
        assert f" · {date_format(lately, 'j E')} ·" in caption(film(release_date=lately))
        assert "марта" not in caption(film())


def test_a_card_of_a_film_known_by_its_title_alone_has_no_empty_line():
    bare = film(release_date=None, runtime=None, vote_count=0, countries=[], genres=[], directors=[], actors=[])
    bare.overview = bare.overview_en = ""
    with translation.override("en"):
        assert caption(bare) == "<b>The Matrix</b>"


def test_a_rated_card_changes_by_half_a_point_and_takes_the_rating_back(sandbox):
    def row(rating):
        (changes,) = [row for row in buttons(film(user_rating=Decimal(rating))) if "unrate" in str(row)]
        return [button[0] for button in changes if isinstance(button, tuple)]

    assert row("7.5") == ["−½", "★ 7.5 ✕", "+½"]
    assert row("10") == ["−½", "★ 10 ✕"]
    assert row("0.5") == ["★ 0.5 ✕", "+½"]


def test_a_trailer_is_a_link(sandbox):
    with translation.override("en"):
        assert ("Trailer", "https://www.youtube.com/watch?v=abc123") in buttons(film(trailer_key="abc123"))[-1]
        assert "Trailer" not in str(buttons(film()))
