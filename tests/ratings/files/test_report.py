"""What a person does about a file in the chat: answers, chooses films, takes a file back."""

import time
from datetime import datetime
from decimal import Decimal

import pytest
from django.utils import translation

from movies.models import Movie
from movies.tasks import read_details
from ratings.files import deck
from ratings.files.merge import row_data
from ratings.files.report import report
from ratings.files.rows import Row
from ratings.models import FileImport, FileRow, PendingWrite, Rating
from ratings.tasks import import_files, write_ratings
from tests.conftest import queued
from tests.helpers.files import NOW, film, link, mine, rated

pytestmark = pytest.mark.django_db

TWINS = "Title,Year,Rating10,Date\nTwins,2005,8,2024-05-01\nDoubles,2006,6,\nNo Such Film,1950,4,\n"


@pytest.fixture
def twins(sandbox):
    for number in (7_000_001, 7_000_002):
        sandbox.tmdb.add_film(
            number, title_en="Twins", title_ru="Близнецы", release_date="2005-06-01",
            directors=[[f"Режиссёр {number}", f"Director {number}"]],
        )  # fmt: skip
    for number in (7_000_003, 7_000_004):
        sandbox.tmdb.add_film(number, title_en="Doubles", title_ru="Двойники", release_date="2006-06-01")


def values(user):
    return {movie_id: rating.value for movie_id, rating in mine(user).items()}


# --- Scale


def test_the_details_of_a_files_films_are_read_at_once(sandbox, user, send):
    sandbox.tmdb.add_film(1_000_001, title_en="Brand New", release_date="2001-01-01", runtime=99)
    send("Title,Year,Rating10\nBrand New,2001,8\n")
    assert "movies.tasks.read_details" in queued()
    read_details()
    assert Movie.objects.get(pk=1_000_001).runtime == 99


@pytest.mark.parametrize(("label", "value"), [("Out of 5", 8), ("Out of 10", 4)])
def test_a_file_of_unknown_scale_waits_for_an_answer(sandbox, user, send, press, label, value):
    told = send("tmdbID,Rating\n603,4\n")
    assert "out of five or out of ten" in told.text
    assert mine(user) == {}
    send("tmdbID,Rating10\n680,7\n")
    assert values(user) == {680: 7}, "other files do not wait for it"
    press(told, label)
    assert values(user) == {680: 7, 603: value}
    assert "1 new rating" in told.text


# --- The deck


def test_films_of_one_name_are_chosen_one_after_another_in_one_message(sandbox, anna, user, send, press, twins):
    told = send(TWINS)
    assert "not sure about 2 films" in told.text
    press(told, "Choose 2 films")
    deck = anna.chat[-1]
    assert "Twins (2005) · 8 out of 10 · 2024-05-01" in deck.text
    press(deck, "Twins (2005) · Director 7000002")
    assert "Doubles (2006) · 6 out of 10" in deck.text
    press(deck, "None of these")
    assert "the last one" in deck.text
    assert deck.buttons == []
    assert values(user) == {7_000_002: 8}
    assert "1 new rating" in told.text
    assert "did not find 2 films" in told.text
    assert "not sure" not in told.text


def test_a_button_shows_year_and_director_of_a_film_with_a_long_title(sandbox, user):
    movie = film(603, f"A Film {'of Many Words ' * 6}", 1999, directors=[{"name": "Иван", "original_name": "Ivan"}])
    file = FileImport.objects.create(user=user, sent_at=NOW)
    file.file_rows.create(position=1, state="unsure", data=row_data(Row("A Film", year=1999)), candidates=[movie.pk])
    with translation.override("en"):
        text = deck.page(file).markup.keyboard[0][0].text
    assert text.startswith("A Film of Many Words")
    assert text.endswith("… (1999) · Ivan")


def test_a_row_is_decided_once_and_by_its_owner(sandbox, anna, user, send, press, twins, handle):
    press(send(TWINS), "Choose")
    deck = anna.chat[-1]
    row = FileRow.objects.filter(state="unsure").order_by("position").first()
    boris = sandbox.telegram.person("Boris", language_code="en")
    boris.send("/start")
    handle()
    for person, movie_id in ((boris, row.candidates[0]), (anna, 603)):
        message = person.chat[-1] if person is boris else deck
        message.content = type(message.content)(
            text="?", markup={"inline_keyboard": [[{"text": "!", "callback_data": f"pick:{row.pk}:{movie_id}"}]]}
        )
        query = person.press(message, data=f"pick:{row.pk}:{movie_id}")
        handle()
        assert query.answer.show_alert
    assert mine(user) == {}


def test_the_deck_can_be_left_and_skipped(sandbox, anna, user, send, press, twins):
    told = send(TWINS)
    press(told, "Choose 2 films")
    press(anna.chat[-1], "Twins (2005)")
    press(told, "Choose 1 film")
    press(anna.chat[-1], "Skip all")
    assert "did not find 2 films" in told.text
    assert list(values(user).values()) == [8]
    press(told, "What was not found")
    document = anna.chat[-1].document
    lines = sandbox.telegram.files[document.file_id].content.decode("utf-8-sig").splitlines()
    assert lines == [
        "Original Title,Title,Year,Const,tmdbID,Your Rating,Date",
        ",Doubles,2006,,,6,",
        ",No Such Film,1950,,,4,",
    ]


# --- Undo


def test_a_whole_file_is_taken_back_at_tmdb_as_well(sandbox, anna, user, send, press):
    link(user, sandbox)
    demo = sandbox.tmdb.account("demo")
    demo.ratings.clear()
    demo.rate(680, 5.0)
    for movie_id in (603, 680, 129, 13):
        film(movie_id, f"Film {movie_id}", 1999)
    rated(user, 680, tmdb=5, when=1_000_000_000)
    rated(user, 129, here=3, when=1_000_000_000)
    told = send("tmdbID,Rating10,Date\n603,9,2024-05-01\n680,7.5,2024-05-01\n129,8,2024-05-01\n13,6,2024-05-01\n")
    write_ratings()
    assert demo.ratings == {680: 7.5, 603: 9.0, 129: 8.0, 13: 6.0}
    assert "written to TMDb: all 4" in told.text
    Rating.objects.filter(movie_id=13).update(manual_rating=2, rated_at=NOW)
    press(told, "Undo")
    assert "3 ratings are as they were" in told.text
    assert told.buttons == []
    assert values(user) == {680: 5, 129: 3, 13: 2}, "what was rated since stays"
    assert {rating.rated_at for rating in mine(user).values()} == {1_000_000_000, NOW}
    write_ratings()
    assert demo.ratings == {680: 5.0, 129: 3.0, 13: 6.0}


def test_a_file_without_dates_leaves_the_time_unknown_and_wins_no_comparison(sandbox, anna, user, send, press, handle):
    film(603, "Film"), film(680, "Other")
    told = send("tmdbID,Rating10,Date\n603,9,\n680,7,some day\n")
    assert "1 row has a date I cannot read" in told.text
    assert [rating.rated_at for rating in mine(user).values()] == [0, 0]
    send("tmdbID,Rating10,Date\n603,4,2001-01-01\n")
    assert values(user) == {603: 4, 680: 7}
    told = send("tmdbID,Rating10\n603,8\n")
    assert "4 here, 8 in the file" in told.text
    anna.send("/export")
    handle()
    content = sandbox.telegram.files[anna.chat[-1].document.file_id].content.decode("utf-8-sig")
    assert {line.split(",")[7]: line.split(",")[4] for line in content.splitlines()[1:]} == {
        "603": "2001-01-01",
        "680": "",
    }


def test_the_later_viewing_also_counts_when_the_files_ratings_are_taken(sandbox, user, send, press):
    film(603, "The Matrix", 1999)
    rated(user, 603, here=1)
    told = send(
        "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"
        "2023-01-01,The Matrix,1999,a,3,,,2020-01-01\n2023-01-01,The Matrix,1999,b,5,Yes,,2022-12-31\n"
    )
    assert "1 here, 10 in the file" in told.text
    press(told, "Take the file's ratings")
    assert values(user) == {603: 10}


@pytest.mark.parametrize("here", [None, "2021-01-01", "2023-06-01", "2025-01-01"])
def test_rows_that_name_one_film_differently_are_one_film(sandbox, user, send, press, here):
    """The last viewing counts, whichever of the rows are later than what is here."""
    if here:
        film(603, "The Matrix", 1999)
        rated(user, 603, here=1, when=int(datetime.fromisoformat(f"{here}T00:00Z").timestamp()))
    told = send(
        "tmdbID,Title,Year,Rating10,Date\n603,The Matrix,1999,9,2023-01-01\n,Матрица,1999,6,2024-01-01\n"
        ",The Matrix,1999,4,2022-01-01\n"
    )
    assert values(user) == {603: 1 if here == "2025-01-01" else 6}
    if told.buttons and any("Take" in button.text for row in told.buttons for button in row):
        press(told, "Take the file's ratings")
    assert values(user) == {603: 6}


# --- Several files, and TMDb


def test_files_are_worked_through_one_after_another(sandbox, anna, user, handle):
    film(603, "Film")
    for value in (7, 8, 9):
        anna.send_document("r.csv", f"tmdbID,Rating10,Date\n603,{value},2024-05-0{value}\n".encode(), "text/csv")
    handle()
    FileImport.objects.order_by("-pk").update(next_try_at=0)
    import_files()
    reports = [message.text for message in anna.chat if "Done!" in (message.text or "")]
    assert len(reports) == 3
    assert values(user) == {603: 9}


def test_saved_pages_of_a_list_are_reported_once(sandbox, anna, user, send, press):
    def page(number, title, rating):
        return (
            f'<html><div class="profileFilmsList"><div class="item"><div class="nameRus"><a href="/film/{number}/">'
            f"{title}</a></div><script>ur_data.push({{film: {number}, rating: '{rating}'}})</script></div></div></html>"
        )

    send(page(1, "Матрица (1999)", 9), "1.html", "text/html")
    told = send(page(2, "Криминальное чтиво (1994)", 8), "2.html", "text/html")
    assert "2 new ratings" in told.text
    assert sum("Done!" in (message.text or "") for message in anna.chat) == 1
    assert values(user) == {603: 9, 680: 8}
    press(told, "Undo")
    assert values(user) == {}


def test_a_rating_made_at_tmdb_meanwhile_counts(sandbox, user, send):
    link(user, sandbox)
    demo = sandbox.tmdb.account("demo")
    demo.ratings.clear()
    film(603, "Film"), film(680, "Other")
    told = send("tmdbID,Rating10,Date\n603,9,2024-05-01\n680,8,2024-05-01\n")
    demo.rate(603, 3.0)
    write_ratings()
    assert demo.ratings == {603: 3.0, 680: 8.0}
    assert values(user) == {603: 3, 680: 8}
    assert mine(user)[603].source == "tmdb"
    assert "1 was rated on TMDb meanwhile" in told.text


def test_half_points_reach_tmdb_and_the_message_tells_how_many(sandbox, user, send, monkeypatch):
    link(user, sandbox)
    demo = sandbox.tmdb.account("demo")
    demo.ratings.clear()
    for number in range(1, 6):
        film(number, f"Film {number}")
        sandbox.tmdb.add_film(number, title_en=f"Film {number}")
    told = send("tmdbID,Rating10\n" + "".join(f"{number},7.5\n" for number in range(1, 6)))
    assert "written to TMDb: 0 of 5" in told.text
    monkeypatch.setattr("ratings.files.report.EDIT_INTERVAL_SECONDS", 0.0)
    PendingWrite.objects.filter(movie_id=5).update(next_try_at=int(time.time()) + 60)
    write_ratings()
    assert "written to TMDb: 4 of 5" in told.text
    assert demo.ratings == dict.fromkeys(range(1, 5), 7.5)
    assert Decimal("7.5") == PendingWrite.objects.get().rating


def test_how_many_ratings_tmdb_has_is_told_as_people_write_numbers(user):
    movies = [film(movie_id, f"Film {movie_id}") for movie_id in (603, 680)]
    file = FileImport.objects.create(user=user, sent_at=NOW, finished_at=NOW, rows_total=1204, found={"written": 1204})
    for movie in movies:
        file.changes.create(movie=movie, after=8)
        PendingWrite.objects.create(user=user, movie=movie, rating=8)
    for language, text in (("en", "written to TMDb: 1,202 of 1,204"), ("ru", "В TMDb: 1\xa0202 из 1\xa0204")):
        with translation.override(language):
            assert text in report(file)[0]
