"""A search that forgives: mistakes, the other keyboard layout, numbers of sequels, addresses, names of people."""

import pytest

from movies.catalogue import TmdbPolicy, find_movies
from movies.models import Movie, normalize_title
from movies.query import Query, nominative
from movies.vocabulary import Vocabulary, edit_distance
from tests.helpers.lists import film_titles, shown

pytestmark = pytest.mark.django_db


def keep(id, title, original="", **fields):
    """A film that the table knows, with all details."""
    defaults = {"release_date": "1999-03-30", "vote_count": 10, "vote_average": 7.5, "details_at": 1}
    original = original or title
    return Movie.objects.create(
        pk=id, title=title, original_title=original, search_text=normalize_title(title, original), **defaults | fields
    )


@pytest.fixture
def known(db):
    """Films of the table: no request to TMDb is needed for them."""
    keep(603, "Матрица", "The Matrix", vote_count=25_000)
    keep(604, "Матрица: Перезагрузка", "The Matrix Reloaded", vote_count=11_000, release_date="2003-05-15")
    keep(605, "Матрица: Революция", "The Matrix Revolutions", vote_count=10_000, release_date="2003-11-05")
    keep(157336, "Интерстеллар", "Interstellar", vote_count=36_000)
    keep(929, "Годзилла", "Godzilla", vote_count=4_000)
    keep(13, "Форрест Гамп", "Forrest Gump", vote_count=27_000)
    keep(101, "Леон", "Léon", vote_count=15_000)


def pks(typed):
    return [movie.pk for movie in find_movies(typed, 7, TmdbPolicy.NEVER).movies]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("матрца", 603),
        ("интерстелар", 157336),
        ("интирстелар", 157336),
        ("годзила", 929),
        ("форест гамп", 13),
        ("matirx", 603),
        ("интерстеллар", 157336),
        ("vfnhbwf", 603),
        ("Bynthcntkkfh", 157336),
        ("ащккуые пгьз", 13),
        ("ьфекшч 2", 604),
    ],
)
def test_a_mistyped_title_finds_its_film_first(known, typed, expected):
    assert pks(typed)[0] == expected


@pytest.fixture
def otherwise_spelled(db):
    """Films whose titles people write in other ways."""
    for id, title, original in (
        (10681, "ВАЛЛ·И", "WALL·E"),
        (422, "8½", "8½"),
        (557, "Человек-паук", "Spider-Man"),
        (24, "Кин-дза-дза!", "Кин-дза-дза!"),
        (33, "S.W.A.T.: Спецназ города ангелов", "S.W.A.T."),
        (1367, "Рокки 2", "Rocky II"),
        (389, "12 разгневанных мужчин", "12 Angry Men"),
        (170, "28 дней спустя", "28 Days Later"),
        (161, "Одиннадцать друзей Оушена", "Ocean's Eleven"),
        (693134, "Дюна: Часть вторая", "Dune: Part Two"),
        (17, "Легенда №17", "Легенда №17"),
        (280, "Терминатор 2: Судный день", "Terminator 2: Judgment Day"),
        (218, "Терминатор", "The Terminator"),
    ):
        keep(id, title, original, vote_count=2_000, release_date="1984-01-01" if id == 218 else "1991-01-01")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        *((typed, 10681) for typed in ("валли", "walle", "WALL-E", "валл и")),
        *((typed, 422) for typed in ("8 1/2", "8½", "8 с половиной", "восемь с половиной")),
        *((typed, 557) for typed in ("spiderman", "человекпаук", "Человек—паук", "фильм человек паук")),
        *((typed, 24) for typed in ("киндзадза", "Кин дза дза")),
        *((typed, 33) for typed in ("swat", "s.w.a.t")),
        *((typed, 1367) for typed in ("рокки II", "rocky 2", "рокки два", "ROCKY TWO")),
        *((typed, 389) for typed in ("двенадцать разгневанных мужчин", "twelve angry men")),
        *((typed, 161) for typed in ("11 друзей оушена", "oceans eleven")),
        *((typed, 693134) for typed in ("дюна 2", "дюна часть 2", "Dune part 2")),
        ("двадцать восемь дней спустя", 170),
        ("легенда 17", 17),
        ("терминатор два", 280),
        ("Rocky.II.1991", 1367),
    ],
)
def test_a_title_is_found_however_its_words_and_numbers_are_written(otherwise_spelled, typed, expected):
    assert pks(typed)[0] == expected


def test_a_short_word_is_no_beginning_where_another_follows(known):
    keep(77338, "1+1", "Intouchables", vote_count=17_000)
    keep(530915, "1917", vote_count=12_000)
    keep(389, "12 разгневанных мужчин", vote_count=8_000)
    assert pks("1+1") == [77338]


@pytest.mark.parametrize("typed", ["матрца", "интерстелар"])
def test_a_well_known_title_mistyped_costs_tmdb_one_request(known, ask, sandbox, typed):
    ask(typed)
    assert len(sandbox.tmdb.requests) == 1


def test_a_guess_is_asked_not_claimed(known, ask, sandbox):
    keep(605_000, "Матрица времени", vote_count=3)
    page = ask("матрца")
    assert page.text.startswith("Did you mean…")
    assert page.button(data="card:603")


def test_a_mistyped_title_of_one_film_is_its_card(known, ask):
    assert "Интерстеллар" in ask("интерстелар").words


def test_of_one_or_two_letters_only_beginnings_of_words_are_found(known):
    keep(1, "Он и она", vote_count=5)
    assert pks("он") == [1]
    assert pks("ел") == []
    assert 101 in pks("ле")


@pytest.mark.parametrize("typed", ["Матрица 2", "матрица II", "The Matrix 2"])
def test_the_number_of_a_sequel_leads_to_it(known, typed):
    assert pks(typed)[:2] == [604, 605]


def test_a_sequel_that_only_tmdb_knows_is_asked_for_by_the_series(ask, sandbox):
    keep(2330, "Такси", "Taxi")
    sandbox.tmdb.add_film(2332, title_ru="Такси 2", title_en="Taxi 2", release_date="2000-03-25")
    assert film_titles(ask("такси 2"))[0] == "Taxi 2"
    assert [request.query["query"] for request in sandbox.tmdb.requests_of("/3/search/movie")] == ["такси"]


def test_keys_in_the_wrong_layout_are_asked_of_tmdb_in_the_right_one(ask, sandbox):
    assert "Forrest Gump" in ask("ajhhtcn ufvg").words
    assert len(sandbox.tmdb.requests_of("/3/search/movie")) == 1


@pytest.mark.parametrize("typed", ["tt0133093", "https://www.imdb.com/title/tt0133093/", "imdb.com/title/tt0133093?x"])
def test_an_imdb_id_or_address_is_the_card(ask, sandbox, typed):
    assert "The Matrix" in ask(typed).words
    assert len(sandbox.tmdb.requests_of("/3/find/tt0133093")) == 1
    ask(typed)
    assert len(sandbox.tmdb.requests_of("/3/find/tt0133093")) == 1


@pytest.mark.parametrize(
    "typed",
    [
        "https://letterboxd.com/film/the-matrix/",
        "letterboxd.com/anna/film/the-matrix/1/",
        "letterboxd.com/film/the-matrix-1999",
    ],
)
def test_a_letterboxd_address_is_the_film_of_its_slug(known, ask, sandbox, typed):
    assert "Матрица" in shown(ask(typed))
    assert sandbox.tmdb.requests == []


SERIES = "This is a series. I only know films so far."


@pytest.mark.parametrize(
    "typed",
    ["https://www.themoviedb.org/tv/1396-breaking-bad", "tt0903747", "Breaking Bad", "kinopoisk.ru/series/404900/"],
)
def test_a_series_is_said_to_be_one(ask, sandbox, typed):
    sandbox.tmdb.add_series(1396, "Breaking Bad", "2008-01-20", "tt0903747")
    assert ask(typed).text == SERIES


@pytest.mark.parametrize(
    "typed", ["https://www.kinopoisk.ru/film/301/", "kinopoisk.ru/film/301", "https://boxd.it/29MA", "hd.kinopoisk.ru"]
)
def test_an_address_that_names_no_film_says_what_to_send(ask, sandbox, typed):
    assert "Send its title" in ask(typed).text
    assert sandbox.tmdb.requests == []


def test_a_title_shared_with_such_an_address_is_searched_for(known, ask, sandbox):
    assert "Интерстеллар" in ask("Интерстеллар (2014) https://www.kinopoisk.ru/film/258687/").words


@pytest.mark.parametrize("typed", ["Тарковский", "Tarkovsky", "фильмы Тарковского", "Фильмы Андрея Тарковского"])
def test_a_name_leads_to_the_persons_films_best_known_first(ask, sandbox, typed):
    page = ask(typed)
    assert page.text.startswith("Films: ")
    assert "Сталкер" in film_titles(page)
    ids = [int(row[0].data.split(":")[1]) for row in page.buttons if row[0].data.startswith("card:")]
    votes = [Movie.objects.get(pk=id).vote_count for id in ids]
    assert votes == sorted(votes, reverse=True)
    ask(typed)
    assert len(sandbox.tmdb.requests_of("/3/search/person")) == 1
    assert len(sandbox.tmdb.requests_of("/3/person/*/movie_credits")) == 1


def test_the_pages_of_a_persons_films_turn(ask, anna, handle):
    page = ask("Спилберг")
    first = film_titles(page)
    anna.press(page, text="›")
    handle()
    assert not set(film_titles(page)) & set(first)


def test_while_tmdb_is_down_a_guess_is_made(known, ask, sandbox):
    sandbox.tmdb.fail(r"^/3/", 503, times=None)
    assert "Интерстеллар" in ask("интерстелар").words


def test_a_film_renamed_is_found_by_its_new_title_only(known):
    Movie.objects.filter(pk=929).update(search_text=normalize_title("Мотра"))
    assert pks("мотра") == [929]
    Movie.objects.filter(pk=929).delete()
    assert pks("мотра") == []


@pytest.mark.parametrize(
    ("one", "other", "mistakes"), [("матрца", "матрица", 1), ("matirx", "matrix", 1), ("кот", "кит", 1), ("", "ab", 2)]
)
def test_mistakes_are_counted(one, other, mistakes):
    assert edit_distance(one, other) == mistakes


def test_the_vocabulary_finds_words_near_and_around():
    words = Vocabulary(["матрица|matrix", "матрас", "перезагрузка матрицы"])
    assert words.near("матрца", 5) == {"матрица": 1}
    assert words.near("перизагруска", 5) == {"перезагрузка": 2}
    assert words.containing("загруз", 5) == ["перезагрузка"]
    assert words.near("кот", 5) == {}
    words.add(["годзилла|godzilla", "матрица"])
    assert words.near("годзила", 5) == {"годзилла": 1}
    assert "godzilla" in words
    assert "дзил" not in words


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("Тарковского", "Тарковский"),
        ("Кристофера Нолана", "Кристофер Нолан"),
        ("Гайдая", "Гайдай"),
        ("Куросавы", "Куросава"),
        ("Киры Муратовой", "Кира Муратова"),
        ("Георгия Данелии", "Георгий Данелия"),
        ("Игоря Масленникова", "Игорь Масленников"),
        ("Скорсезе", "Скорсезе"),
    ],
)
def test_a_name_is_looked_up_in_the_nominative(name, base):
    assert nominative(name) == base


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("фильмы с Томом Хэнксом", "Том Хэнкс"),
        ("Фильмы с Андреем Мироновым", "Андрей Миронов"),
        ("фильмы со Скарлетт Йоханссон", "Скарлетт Йоханссон"),
        ("фильмы с Джулией Робертс", "Джулия Робертс"),
        ("кино с Олегом Янковским", "Олег Янковский"),
        ("фильмы с Кирой Найтли", "Кира Найтли"),
        ("films by Kubrick", "Kubrick"),
        ("movies with Tom Hanks", "Tom Hanks"),
        ("movies starring Tom Hanks", "Tom Hanks"),
        ("фильмы режиссёра Тарковского", "Тарковский"),
    ],
)
def test_a_persons_films_are_asked_for_in_words(typed, name):
    assert Query.parse(typed).people[0] == name


@pytest.mark.parametrize("title", ["Lynch", "Rhythm", "Psycho", "Casablanca", "WALL-E"])
def test_an_english_title_is_not_taken_for_russian(title):
    assert not Query.parse(title).is_russian_in_latin_keys


def test_a_guess_offers_the_search_for_what_was_meant(anna, ask, handle, sandbox):
    for number, title in enumerate(["Перезагрузка", "Революция"]):
        keep(604 + number, f"Матрица: {title}", vote_count=10_000)
    page = ask("матрца")
    assert page.text == "Did you mean…"
    anna.press(page, text="Search for “матрица”")
    handle()
    assert page.button(data="card:603")


def test_a_guess_is_written_as_the_title_is(anna, ask, handle, sandbox):
    keep(671, "Бойцовский клуб: Начало")
    assert ask("боицовский клубб").button(text="Search for “бойцовский клуб”")


def test_a_guess_that_is_the_title_itself_offers_no_further_search(known, ask):
    buttons = [button for row in ask("интерстелар").buttons for button in row]
    assert not any((button.data or "").startswith("more:") for button in buttons)


@pytest.mark.parametrize("typed", ["Тарковский", "Андрей Тарковский"])
def test_a_person_better_known_than_the_films_about_them_comes_first(anna, ask, handle, sandbox, typed):
    sandbox.tmdb.add_film(7_000_001, title_ru="Андрей Тарковский. Кино как молитва", title_en="Andrey Tarkovsky")
    page = ask(typed)
    assert page.text.startswith("Films: ")
    anna.press(page, text="Films with this title")
    handle()
    assert "Andrey Tarkovsky" in film_titles(page)


@pytest.mark.parametrize("typed", ["Матрица 1999 года", "матрица 1999 г.", "Матрица (1999 год)"])
def test_a_year_may_be_called_one(known, typed):
    keep(606, "Матрица", release_date="2022-01-01")
    assert pks(typed) == [603]


@pytest.mark.parametrize("typed", ["%", "_", "%%"])
def test_a_sign_of_sql_is_no_wildcard(known, typed):
    assert pks(typed) == []


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("Здравствуйте, бот", "Hello"),
        ("Привет, как дела?", "Hello"),
        ("Hi 👋🏽", "Hello"),
        ("Доброго дня!", "Hello"),
        ("как дела?", "Hello"),
        ("спасибо!!! 😊", "You are welcome"),
        ("Спасибо большое, бот", "You are welcome"),
        ("???", "No film found"),
    ],
)
def test_a_greeting_is_one_with_whatever_follows_it(ask, sandbox, typed, answer):
    assert ask(typed).text.startswith(answer)
