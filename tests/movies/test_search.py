"""Finding films: by title, year, id and address, in private and in groups; lists, their pages, similar films, links."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection

from config.bot.router import bot
from movies.catalogue import TmdbPolicy, find_movies
from movies.models import Movie, normalize_title
from movies.search import MAX_RANKED
from movies.tasks import read_details
from ratings.models import Rating
from tests.helpers.lists import film_labels, film_titles, nth, shown

pytestmark = pytest.mark.django_db

NIGHTS = MAX_RANKED + 1000


def keep(id, title, original="", **fields):
    """A film that the table knows, with all details."""
    defaults = {"release_date": "1999-03-30", "vote_count": 10, "vote_average": 7.5, "details_at": 1}
    original = original or title
    return Movie.objects.create(
        pk=id, title=title, original_title=original, search_text=normalize_title(title, original), **defaults | fields
    )


def tap(person, message, handle, **button):
    query = person.press(message, **button)
    handle()
    return query.answer


def searches(sandbox):
    return [request.query["query"] for request in sandbox.tmdb.requests_of("/3/search/movie")]


# --- What is typed


@pytest.mark.parametrize(
    "typed",
    [
        "Звёздная пыль",
        "звездная пыль",
        "ЗВЕЗДНАЯ",
        "пыль звёздная",
        "Stardust",
        "sTARDUST",
        "звёздная, пыль!",
        "Stardust 2007",
    ],
)
def test_a_film_of_the_table_is_found_in_any_script_and_case_without_tmdb(ask, sandbox, typed):
    keep(2270, "Звёздная пыль", "Stardust", release_date="2007-08-09")
    for n in range(5):
        keep(9000 + n, f"Звездная пыль {n}" if "2007" not in typed else f"Stardust {n}", release_date="2007-01-01")
    answer = ask(typed)
    assert "Звёздная пыль" in shown(answer)
    assert sandbox.tmdb.requests == []


@pytest.mark.parametrize("typed", ["amelie", "AMÉLIE", "Ame\u0301lie"])
def test_marks_on_letters_make_no_difference(ask, sandbox, typed):
    keep(194, "Амели", "Amélie")
    assert "Амели" in ask(typed).words
    assert sandbox.tmdb.requests == []


def test_marks_on_letters_may_make_a_difference_to_tmdb(ask, sandbox):
    ask("Ежики")
    ask("ЕЖИКИ")
    ask("Ёжики")
    assert searches(sandbox) == ["Ежики", "Ёжики"]


def test_punctuation_makes_no_difference(ask, sandbox):
    keep(557, "Человек-паук", "Spider-Man")
    assert "Человек-паук" in ask("человек паук").words
    assert "Человек-паук" in ask("spider man").words
    assert sandbox.tmdb.requests == []


def test_a_film_that_another_program_wrote_into_the_table_is_found_too(ask, sandbox):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO movies (id, title, release_date) VALUES (777, 'Ёжик в тумане', '1975-01-01')")
    assert "Ёжик в тумане" in ask("ежик В ТУМАНЕ").words
    assert searches(sandbox) == []


def test_tmdb_is_asked_once_where_the_table_knows_little_and_its_answer_is_kept(ask, sandbox):
    first = ask("матриц")
    assert len(film_labels(first)) >= 3
    assert searches(sandbox) == ["матриц"]
    again = ask("МАТРИЦ")
    assert film_labels(again) == film_labels(first)
    assert searches(sandbox) == ["матриц"]


def test_a_film_that_tmdb_knows_by_a_title_of_its_own_is_shown_and_found_again(ask, sandbox):
    """The list row of "Герой" names 英雄 as its original title: "hero" stands in neither."""
    ask("hero")
    read_details()
    assert "Hero" in ask("Hero").words
    assert searches(sandbox) == ["hero"]


def test_one_film_is_its_card_and_several_are_a_list(ask):
    assert ask("форрест гамп").photo
    assert ask("индиана джонс").text == "3 films found" or len(film_labels(ask("индиана джонс"))) > 1


def test_nothing_found_is_said(ask):
    assert "No film found" in ask("qwertyuiop asdfghjkl").text


def test_the_best_comes_first(ask):
    keep(1, "Экранизация", vote_count=90_000)
    keep(2, "Хранитель снов", vote_count=80_000)
    keep(3, "Ран и другие", vote_count=20)
    keep(4, "Ран", vote_count=10)
    assert film_titles(ask("ран")) == [
        "Ран",
        "Ран и другие",
        "Экранизация",
        "Хранитель снов",
    ]


@pytest.fixture
def nights():
    """More films with one word in their titles than a search reads."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)"
            " INSERT INTO movies (id, title, search_text, vote_count) SELECT 10000 + n,"
            " 'Ночь ' || n, CASE WHEN n %% 2 = 0 THEN 'ночь ' || n ELSE n || ' ночь' END, n FROM numbers",
            [NIGHTS],
        )


def test_a_film_hardly_anybody_knows_is_first_where_it_is_called_so(nights):
    for title, original, typed in (
        ("Ночь", "La notte", "НОЧЬ"),
        ("Полуночники", "Ночь", "ночь"),
        ("Ночь", "La notte", "ночь 1961"),
        ("Полуночники", "Ночь: пролог", "ночь, пролог"),
        ("Ночь, которой не было", "", "ночь которой"),
    ):
        film = keep(1, title, original, vote_count=0, release_date="1961-01-01")
        assert find_movies(typed, 7, TmdbPolicy.NEVER).movies[0] == film, typed
        film.delete()


def test_of_a_word_that_most_titles_hold_the_best_known_ones_are_found(nights):
    found = find_movies("ночь", 7, TmdbPolicy.NEVER).movies
    assert [movie.vote_count for movie in found] == list(range(NIGHTS, NIGHTS - 100, -2))


def test_a_film_hardly_anybody_knows_is_found_by_parts_of_words(nights):
    keep(1, "Побег ночного конокрада", vote_count=0, release_date="1975-01-01")
    for typed in ("конокрад", "КОНОК", "онокра", "ночного", "конокрад ночн", "ночн 1975"):
        found = find_movies(typed, 7, TmdbPolicy.NEVER).movies
        assert [movie.pk for movie in found] == [1], typed


def test_a_year_narrows_the_search(ask, sandbox):
    keep(841, "Дюна", "Dune", release_date="1984-12-14")
    keep(438631, "Дюна", "Dune", release_date="2021-09-15")
    for typed in ("дюна 1984", "Dune, 1984", "дюна (1984)"):
        assert "Дюна (1984)" in ask(typed).words
    assert sandbox.tmdb.requests == []


def test_a_year_beside_the_true_one_finds_the_film(ask):
    keep(603, "Матрица", "The Matrix")
    assert "Матрица (1999)" in ask("матрица 2000").words


@pytest.mark.parametrize("typed", ["Blade Runner 2049", "wonder woman 1984", "Бегущий по лезвию 2049"])
def test_a_year_may_belong_to_the_title(ask, sandbox, typed):
    keep(335984, "Бегущий по лезвию 2049", "Blade Runner 2049", release_date="2017-10-04")
    keep(464052, "Чудо-женщина 1984", "Wonder Woman 1984", release_date="2020-12-16")
    found = ask(typed)
    assert "2049 (2017)" in found.words or "1984 (2020)" in found.words
    assert sandbox.tmdb.requests == []


def test_a_year_to_come_is_asked_for_as_a_part_of_the_title(ask, sandbox):
    sandbox.tmdb.add_film(335984, title_en="Blade Runner 2049", release_date="2017-10-04")
    assert "Blade Runner 2049 (2017)" in ask("blade runner 2049").words
    assert searches(sandbox) == ["blade runner 2049"]


@pytest.mark.parametrize("title", ["1917", "300", "12"])
def test_a_number_is_an_id_and_may_be_a_title(ask, sandbox, title):
    sandbox.tmdb.add_film(70_000, title_en=title, release_date="2007-01-01")
    sandbox.tmdb.add_film(int(title), title_en="Another Film")
    answer = ask(title)
    assert sorted(film_titles(answer)) == sorted(["Another Film", title])


def test_the_card_of_a_number_leads_to_the_films_that_are_called_so(ask, anna, sandbox, handle):
    keep(12, "В поисках Немо")
    sandbox.tmdb.add_film(70_000, title_en="12", release_date="2007-01-01")
    card = ask("12")
    assert "В поисках Немо" in card.words
    assert searches(sandbox) == []
    tap(anna, card, handle, text="Search for “12”")
    assert film_titles(anna.chat[-1])[:2] == ["В поисках Немо", "12"]


@pytest.mark.parametrize(
    "typed",
    [
        "603",
        "/movie 603",
        "/movie@kinoteka_sandbox_bot 603",
        "https://www.themoviedb.org/movie/603",
        "https://www.themoviedb.org/movie/603-the-matrix?language=ru-RU",
        "themoviedb.org/movie/603-the-matrix/cast",
        "look: https://www.themoviedb.org/ru/movie/603-the-matrix, great",
        "/movie https://www.themoviedb.org/movie/603-the-matrix",
    ],
)
def test_an_id_or_an_address_is_the_card_without_a_search(ask, sandbox, typed):
    keep(603, "Матрица", "The Matrix")
    assert "Матрица" in ask(typed).words
    assert sandbox.tmdb.requests == []


@pytest.mark.parametrize(
    "typed",
    [
        "https://www.themoviedb.org/movie/99999999",
        "https://www.themoviedb.org/movie/0",
        "themoviedb.org/movie/" + "9" * 50,
    ],
)
def test_an_address_of_no_film_is_told(ask, typed):
    assert ask(typed).text == "TMDb has no film with this id."


@pytest.mark.parametrize(
    "typed", ["🎬", "🎬🍿" * 1000, "ы" * 4096, "a b " * 1000, "%_\\'\";--", "<b>&amp;</b>", "|", "…", "0", "9" * 4000]
)
def test_whatever_is_typed_gets_an_answer(ask, typed):
    assert ask(typed).words


def test_an_empty_search_is_explained(ask):
    assert "/movie 603" in ask("/movie").text
    assert "/movie 603" in ask("/movie    ").text


def test_while_tmdb_is_down_the_table_answers(ask, sandbox):
    keep(603, "Матрица", "The Matrix")
    keep(604, "Матрица: Перезагрузка", "The Matrix Reloaded", release_date="2003-05-15")
    sandbox.tmdb.fail(r"^/3/", 503, times=None)
    assert len(film_labels(ask("матриц"))) == 2
    assert "TMDb is not answering" in ask("форрест гамп").text
    assert "TMDb is not answering" in ask("/movie 13").text
    for address in ("themoviedb.org/movie/13", "tt0109830"):
        assert "TMDb is not answering" in ask(address).text


def test_a_film_keeps_its_title_where_that_is_in_our_language_though_nobody_told_its_story_in_it(ask, anna, sandbox):
    anna.language_code = "ru"
    story = {"overview_en": "A story.", "release_date": "2010-12-16"}
    ours = {"original_title": "Ёлка", "original_language": "ru", "title_en": "Fir Tree"}
    sandbox.tmdb.add_film(5002, **story, **ours)
    sandbox.tmdb.add_film(5003, **story, original_title="부산행", original_language="ko", title_en="Busan")
    assert ask("/movie 5002").caption.startswith("Ёлка (2010)")
    assert Movie.objects.get(pk=5002).overview == "A story."
    assert "Ёлка" in ask("fir tree").words
    assert ask("/movie 5003").caption.startswith("Busan (2010)")


def test_a_film_that_tmdb_has_lost_since_the_search_has_a_card(ask, anna, handle, sandbox):
    page = ask("матриц")
    movie_id = int(page.buttons[0][0].data.split(":")[1])
    sandbox.tmdb.gone(movie_id)
    tap(anna, page, handle, text=nth(page, 1))
    assert anna.chat[-1].button(text="8")
    for _twice in range(2):
        read_details()
        tap(anna, page, handle, text=nth(page, 1))
    assert len(sandbox.tmdb.requests_of(f"/3/movie/{movie_id}")) == 1


# --- Lists


@pytest.fixture
def series():
    return [keep(100 + n, f"Сериал часть {n:02}", vote_count=1000 - n) for n in range(1, 21)]


def test_a_list_shows_title_year_score_and_the_persons_own_rating(ask, anna, handle, series):
    anna.send("/rate 101 9")
    handle()
    assert film_labels(ask("сериал"))[0] == "Сериал часть 01 1999 · ★9"


def test_pages_turn_by_editing_one_message(ask, anna, handle, sandbox, series):
    page = ask("сериал")
    count = len(anna.chat)
    assert page.text == "20 films found (1/3)"
    for text, first in (("›", "09"), ("›", "17"), ("‹", "09"), ("‹", "01")):
        assert tap(anna, page, handle, text=text) is not None
        assert film_labels(page)[0].startswith(f"Сериал часть {first}")
    assert len(anna.chat) == count
    assert searches(sandbox) == []


def test_each_film_of_a_list_has_a_button_that_opens_its_card(ask, anna, handle, series):
    page = ask("сериал")
    tap(anna, page, handle, text="›")
    tap(anna, page, handle, text=nth(page, 10))
    assert "Сериал часть 10" in anna.chat[-1].words


def test_a_search_too_long_for_a_button_turns_its_pages_too(ask, anna, handle):
    for n in range(10):
        keep(100 + n, "Очень длинное название фильма которое не входит в кнопку")
    page = ask("очень длинное название фильма которое не входит в кнопку")
    tap(anna, page, handle, text="›")
    assert len(film_labels(page)) == 2


def test_look_further_asks_tmdb_for_what_the_table_did_not_know(ask, anna, handle, sandbox):
    keep(1, "Матрица", "The Matrix")
    keep(2, "Матрица наоборот")
    page = ask("матрица")
    assert len(film_labels(page)) == 2
    tap(anna, page, handle, text="Search further on TMDb")
    assert len(film_labels(page)) > 2
    assert searches(sandbox) == ["матрица"]


def test_a_card_offers_no_more_where_nobody_knows_of_more(ask):
    keep(603, "Матрица", "The Matrix")
    assert "More with this title" not in [button.text for row in ask("матрица").buttons for button in row]


def forged(person, sandbox, message, data, handle):
    button = message.buttons[0][0]
    true, button.raw["callback_data"] = button.raw["callback_data"], data
    query = person.press(message, data=data)
    button.raw["callback_data"] = true
    handle()
    return query.answer


@pytest.mark.parametrize(
    "data",
    [
        "found:-1",
        "found:abc",
        "found:",
        "found",
        "card:x",
        "card:",
        "similar:",
        "more:1:2",
        "found:7::сериал",
        "found:999::",
    ],
)
def test_a_button_that_is_none_of_ours_is_politely_refused(ask, anna, sandbox, handle, series, data):
    page = ask("сериал")
    answer = forged(anna, sandbox, page, data, handle)
    assert "out of date" in answer.text
    assert film_labels(page)[0].startswith("Сериал часть 01")


# --- Groups


@pytest.fixture
def club(sandbox, anna):
    boris = sandbox.telegram.person("Boris", language_code="en")
    return sandbox.telegram.group("Film club", [anna, boris]), boris


def test_in_a_group_only_the_askers_buttons_act_for_the_asker(anna, handle, club, series):
    group, boris = club
    anna.send("/movie сериал", chat=group)
    handle()
    page = anna.wait(chat=group)
    for button in ("›", nth(page, 1)):
        answer = tap(boris, page, handle, text=button)
        assert (answer.text, answer.show_alert) == ("This is somebody else's list. Please search yourself.", True)
    assert film_labels(page)[0].startswith("Сериал часть 01")
    tap(anna, page, handle, text="›")
    assert film_labels(page)[0].startswith("Сериал часть 09")
    tap(anna, page, handle, text=nth(page, 10))
    assert "Сериал часть 10" in anna.wait(chat=group).words


def test_in_a_group_nobodys_rating_is_shown(anna, handle, club, series):
    group, _boris = club
    anna.send("/rate 101 9")
    handle()
    for text in ("/movie сериал", "/movie 101"):
        asked = anna.send(text, chat=group)
        handle()
        shown = anna.wait(chat=group, after=asked)
        assert "★" not in "".join(film_labels(shown))
        assert "Your rating" not in shown.words


def test_in_a_group_the_bot_answers_commands_only(anna, handle, sandbox, club, series):
    group, _boris = club
    anna.send("/movie 101", chat=group)
    handle()
    card = anna.wait(chat=group)
    for text in ("сериал", "8"):
        anna.send(text, chat=group, reply_to=card)  # Telegram shows a bot the replies to it
    anna.send("/movie@another_bot 101", chat=group)
    handle()
    assert [message for message in group.messages.values() if message.from_bot] == [card]
    assert Rating.objects.count() == 0


def test_similar_films_in_a_group_belong_to_who_asked_for_them(anna, handle, club):
    group, boris = club
    anna.send("/movie 603", chat=group)
    handle()
    card = anna.wait(chat=group)
    tap(boris, card, handle, text="Similar films")
    similar = anna.wait(chat=group, after=card)
    assert "somebody else" in tap(anna, similar, handle, text="›").text
    tap(boris, similar, handle, text="›")
    assert "(2/" in similar.text


# --- Similar films


def test_similar_films_are_asked_once_and_kept(ask, anna, handle, sandbox):
    card = ask("/movie 603")
    for _twice in range(2):
        assert tap(anna, card, handle, text="Similar films") is not None
        page = anna.chat[-1]
        assert page.text.startswith("Similar to “The Matrix” (1/")
        assert "The Matrix Reloaded" in film_titles(page)
    assert len(sandbox.tmdb.requests_of("/3/movie/603/recommendations")) == 1
    tap(anna, page, handle, text="›")
    assert "(2/" in page.text
    tap(anna, page, handle, text=nth(page, 9))
    assert anna.chat[-1].button(text="8")


def test_while_tmdb_is_down_similar_films_are_politely_refused(ask, anna, handle, sandbox):
    card = ask("/movie 603")
    sandbox.tmdb.fail(r"/recommendations$", 503, times=None)
    assert "TMDb is not answering" in tap(anna, card, handle, text="Similar films").text


def test_a_film_without_similar_ones_says_so(ask, anna, handle, sandbox):
    sandbox.tmdb.add_film(5001, title_en="Alone")
    assert "No similar films" in tap(anna, ask("/movie 5001"), handle, text="Similar films").text


# --- Links


def test_a_link_opens_the_card(anna, handle):
    anna.open("https://t.me/kinoteka_sandbox_bot?start=movie_603")
    handle()
    assert "The Matrix" in anna.chat[-1].caption


@pytest.mark.parametrize("payload", ["movie_99999999", "movie_0", "movie_" + "9" * 20])
def test_a_link_to_no_film_is_told(anna, handle, payload):
    anna.open(f"https://t.me/kinoteka_sandbox_bot?start={payload}")
    handle()
    assert anna.chat[-1].text == "TMDb has no film with this id."


@pytest.mark.parametrize("payload", ["movie_", "movie_abc", "movie_-1", "movie_" + "9" * 30, "nonsense", "movie_6_0_3"])
def test_a_link_that_says_nothing_gets_the_help(anna, handle, payload):
    anna.open(f"https://t.me/kinoteka_sandbox_bot?start={payload}")
    handle()
    assert "Kinoteka" in anna.chat[-1].text


def test_the_share_button_sends_the_card_by_inline_mode(ask, anna, handle):
    card = ask("/movie 603")
    query = anna.inline(card.button(text="Share").switch_inline)
    handle()
    assert "The Matrix" in query.wait()[0]["caption"]


def test_where_the_bot_has_no_inline_mode_the_share_button_is_a_link(ask, sandbox, monkeypatch):
    monkeypatch.setattr(bot.user, "supports_inline_queries", False)
    address = urlsplit(ask("/movie 603").button(text="Share").url)
    assert (address.netloc, address.path) == ("t.me", "/share/url")
    assert parse_qs(address.query)["url"] == ["https://t.me/kinoteka_sandbox_bot?start=movie_603"]


# --- What it costs


def test_a_card_by_file_id_is_two_queries_at_most(ask, anna, handle, sandbox, django_assert_max_num_queries):
    """One reads the film with the person's rating; the other, for a number, the films that are called so."""
    card = ask("/movie 603")
    sandbox.tmdb.forget_requests()
    anna.send("/movie 603")
    with django_assert_max_num_queries(2):
        handle()
    assert anna.chat[-1].photo.file_id == card.photo.file_id
    assert sandbox.tmdb.requests == []


def test_a_button_to_a_card_is_one_query(ask, anna, handle, django_assert_max_num_queries):
    ask("/movie 604")
    page = ask("матриц")
    number = next(button.text for row in page.buttons for button in row if button.data == "card:604")
    anna.press(page, text=number)
    with django_assert_max_num_queries(1):
        handle()
    assert "The Matrix Reloaded" in anna.chat[-1].caption
