"""Inline mode: "@bot text" in any chat."""

import pytest

from movies.models import Movie, normalize_title
from ratings.models import Rating

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(anna, handle):
    """ask("matrix"): the bot's answer to what Anna types behind its name."""

    def answer(text, offset="", person=anna):
        query = person.inline(text, offset=offset)
        handle()
        query.wait()
        return query

    return answer


def keep(id, title, **fields):
    defaults = {"release_date": "1999-03-30", "vote_count": 10, "vote_average": 7.5, "details_at": 1}
    return Movie.objects.create(
        pk=id, title=title, original_title=title, search_text=normalize_title(title), **defaults | fields
    )


@pytest.fixture
def photo(anna, handle):
    """The Matrix with its poster in Telegram."""
    anna.send("/movie 603")
    handle()
    return Movie.objects.get(pk=603).telegram_file_id


def titles(query):
    return [result["title"] for result in query.results]


def test_a_film_whose_poster_is_in_telegram_is_a_cached_photo_with_title_and_year_in_the_caption(ask, photo):
    (result,) = ask("матрица").results
    assert (result["type"], result["photo_file_id"]) == ("photo", photo)
    assert "<b>The Matrix</b> (1999)" in result["caption"]


def test_a_film_without_a_poster_is_an_article(ask):
    keep(1, "Безымянный <фильм> & другие", vote_count=0, release_date=None)
    (result,) = ask("безымянный").results
    assert (result["type"], result["title"]) == ("article", "Безымянный <фильм> & другие")
    assert "&lt;фильм&gt;" in result["input_message_content"]["message_text"]


def test_who_reads_the_result_can_open_the_card(ask, anna, sandbox, handle, photo):
    boris = sandbox.telegram.person("Boris", language_code="en")
    group = sandbox.telegram.group("Film club", [anna, boris], bots=[])
    query = ask("матрица")
    sent = anna.choose(query, query.results[0], chat=group)
    assert sent.photo.file_id == photo
    boris.open(sent.buttons[0][0].url)
    handle()
    assert "The Matrix" in boris.chat[-1].caption


def test_whoever_presses_a_button_under_a_shared_card_rates_for_themselves(ask, anna, sandbox, handle, photo):
    boris = sandbox.telegram.person("Boris", language_code="en")
    group = sandbox.telegram.group("Film club", [anna, boris], bots=[])
    query = ask("матрица")
    sent = anna.choose(query, query.results[0], chat=group)
    pressed = boris.press(sent, text="8")
    handle()
    assert "your rating is 8" in pressed.answer.text
    assert [(rating.user_id, rating.value) for rating in Rating.objects.all()] == [(boris.id, 8)]
    assert "rating" not in sent.caption


def test_an_article_shows_tmdbs_picture(ask):
    keep(1, "Безымянный", poster_path="/poster.jpg", poster_status=0)
    (result,) = ask("безымянный").results
    preview = result["input_message_content"]["link_preview_options"]
    assert preview["url"].endswith("/w500/poster.jpg")
    assert result["thumbnail_url"].endswith("/w92/poster.jpg")


def test_a_persons_rating_is_for_nobody_else_to_read(ask, anna, handle, photo):
    anna.send("/rate 603 9")
    handle()
    for text in ("матрица", ""):
        assert "Your rating" not in ask(text).results[0]["caption"]


def test_results_come_in_pages(ask):
    for n in range(45):
        keep(100 + n, f"Сериал {n:02}", vote_count=1000 - n)
    seen, offset = [], ""
    for _page in range(3):
        query = ask("сериал", offset)
        seen += titles(query)
        offset = query.next_offset
    assert seen == [f"Сериал {n:02} (1999)" for n in range(45)]
    assert offset == ""


@pytest.mark.parametrize("offset", ["x", "-1", "99999999", "9999", "٣"])
def test_an_odd_offset_is_answered(ask, offset):
    keep(1, "Сериал")
    assert ask("сериал", offset).results is not None


def test_nothing_typed_offers_the_persons_own_favourites(ask, anna, sandbox, handle):
    ids = sandbox.tmdb.add_films(25)
    for number, movie_id in enumerate(ids):
        anna.send(f"/rate {movie_id} {1 + number % 10}")
        handle()
    query = ask("")
    best = [Movie.objects.with_user_rating(anna.id).get(pk=result["id"]).user_rating for result in query.results]
    assert best == sorted(best, reverse=True)
    assert (len(best), query.next_offset) == (20, "20")
    assert len(ask("", "20").results) == 5
    boris = sandbox.telegram.person("Boris", language_code="en")
    assert ask("", person=boris).results == []


def test_favourites_are_not_cached_for_others(ask, anna, sandbox, handle):
    sandbox.telegram.inline_cache = True
    anna.send("/rate 603 9")
    handle()
    assert ask("").is_personal
    assert len(ask("").results) == 1
    boris = sandbox.telegram.person("Boris", language_code="en")
    assert ask("", person=boris).results == []


def test_who_has_no_favourites_is_shown_where_to_begin(ask, anna, handle):
    query = ask("")
    assert query.results == []
    assert query.button["text"]
    anna.send(f"/start {query.button['start_parameter']}")
    handle()
    assert "Kinoteka" in anna.chat[-1].text


def test_tmdb_is_asked_only_where_the_table_knows_nothing(ask, sandbox):
    keep(1, "Матрица")
    ask("м"), ask("ма"), ask("матр"), ask("xy")
    assert sandbox.tmdb.requests == []
    assert "Forrest Gump (1994)" in titles(ask("форрест"))
    assert "Forrest Gump (1994)" in titles(ask("форрест"))
    assert len(sandbox.tmdb.requests) == 1


def test_while_tmdb_is_down_there_is_an_answer(ask, sandbox):
    sandbox.tmdb.fail(r"^/3/", 503, times=None)
    for typed in ("форрест", "themoviedb.org/movie/13", "tt0109830"):
        query = ask(typed)
        assert (query.results, query.button) == ([], None)


@pytest.mark.parametrize("typed", ["603", "https://www.themoviedb.org/movie/603-the-matrix"])
def test_an_id_or_an_address_is_found(ask, photo, typed):
    assert titles(ask(typed)) == ["The Matrix (1999)"]


@pytest.mark.parametrize("typed", ["themoviedb.org/movie/99999999", "🎬" * 128, "<b>&", "9" * 256, "|", "0"])
def test_whatever_is_typed_is_answered(ask, typed):
    assert ask(typed).results is not None


def test_a_query_that_is_too_old_is_no_error(anna, handle, caplog):
    keep(1, "Матрица")
    query = anna.inline("матрица")
    query.at -= 3600
    handle()
    assert query.results is None
    assert "ERROR" not in [record.levelname for record in caplog.records]


def test_a_poster_that_telegram_has_forgotten_hides_no_other_film(ask, anna, sandbox, handle, photo):
    keep(1, "Матрица наоборот")
    sandbox.telegram.forget_file(photo)
    query = anna.inline("матрица")
    handle()
    assert query.results is not None
    assert {result["type"] for result in query.results} == {"article"}


def test_what_anna_sends_to_the_bot_by_its_own_inline_mode_is_no_search(ask, anna, handle):
    keep(1, "Матрица")
    query = ask("матрица")
    anna.choose(query, query.results[0])
    handle()
    assert not [message for message in anna.chat if message.from_bot]
