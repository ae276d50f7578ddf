"""/export and files of ratings sent to the chat: what goes out comes back in, and nothing is guessed."""

import csv
import io
import os
import threading
import time
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from movies.models import Movie
from ratings.files import dates, rows
from ratings.files.exporter import LAYOUTS, escape_formula, export
from ratings.files.merge import Merge
from ratings.files.parser import read
from ratings.files.report import report
from ratings.files.rows import ListUnknown, ParseError, Purpose, ScaleUnknown
from ratings.models import DismissedMovie, FileImport, PendingWrite, Rating
from ratings.tasks import import_file, import_files
from sandbox.telegram.text import parse_html, utf16
from tests.helpers.files import NOW, film, link, mine, rated
from users.disconnect import forget
from users.models import User

pytestmark = pytest.mark.django_db

TMDB_EXPORT = """\
TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,Date Rated
1399,tt0944947,tv,Игра престолов,2011-04-17T00:00:00Z,,,8.4,9,2021-05-06T07:08:09Z
603,tt0133093,movie,Матрица,1999-03-31T00:00:00Z,,,8.2,7.5,2022-08-09T10:11:12Z
680,tt0110912,movie,Pulp Fiction,1994-09-10T00:00:00Z,,,8.5,8,2022-08-10T11:12:13Z
"""
LETTERBOXD = """\
Date,Name,Year,Letterboxd URI,Rating
2024-01-02,The Matrix,1999,https://boxd.it/1,4.5
2024-01-03,Spirited Away,2001,https://boxd.it/2,5
2024-01-04,"No Such Film, Ever",1987,https://boxd.it/3,3
2024-01-05,Pulp Fiction,1994,https://boxd.it/4,
"""
IMDB = """\
Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Year,Genres,Release Date,Directors
tt0133093,9,2024-01-05,The Matrix,The Matrix,https://www.imdb.com/title/tt0133093,Movie,8.7,1999,"Action, Sci-Fi",,
tt0903747,10,2024-02-11,Breaking Bad,Breaking Bad,https://www.imdb.com/title/tt0903747,TV Series,9.5,2008,"Crime",,
tt9999999,5,2024-02-11,Nobody Knows It,,https://www.imdb.com/title/tt9999999,Movie,5,2011,,,
"""


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# --- Files of the services


def test_tmdbs_own_export_brings_films_with_the_time_each_was_rated_and_leaves_series_out(sandbox, user, send):
    told = send(TMDB_EXPORT)
    ratings = mine(user)
    assert {film: rating.value for film, rating in ratings.items()} == {603: Decimal("7.5"), 680: 8}
    assert ratings[603].rated_at == at("2022-08-09T10:11:12")
    assert {rating.source for rating in ratings.values()} == {"manual"}
    assert "2 new ratings" in told.text
    assert "1 row about a series" in told.text


def test_letterboxds_stars_are_doubled_and_films_found_by_title_and_year_in_either_language(sandbox, user, send):
    told = send(LETTERBOXD)
    assert {film: rating.value for film, rating in mine(user).items()} == {603: 9, 129: 10}
    assert mine(user)[129].rated_at == at("2024-01-03")
    assert "No Such Film, Ever (1987)" in told.text
    assert "1 row without a rating" in told.text


def test_imdbs_export_is_matched_by_imdb_id_once_and_then_from_the_table(sandbox, user, send):
    sandbox.tmdb.films[603].title_ru = sandbox.tmdb.films[603].title_en = "Another Name"
    told = send(IMDB)
    assert {film: rating.value for film, rating in mine(user).items()} == {603: 9}
    assert "Nobody Knows It (2011)" in told.text
    assert "1 row about a series" in told.text
    assert Movie.objects.get(pk=603).imdb_id == "tt0133093"
    sandbox.tmdb.forget_requests()
    send(IMDB)
    assert not sandbox.tmdb.requests_of("/find/tt0133093")


def test_the_import_format_of_letterboxd_is_read_by_tmdb_id(sandbox, user, send):
    send("tmdbID,Title,Year,Rating10,WatchedDate\n603,Whatever,1999,8,2020-02-03\n")
    assert mine(user)[603].value == 8
    assert mine(user)[603].rated_at == at("2020-02-03")


def test_an_id_that_tmdb_does_not_have_falls_back_on_the_next_way(sandbox, user, send):
    told = send("tmdbID,imdbID,Title,Year,Rating10\n99999999,tt0133093,x,1999,8\n99999998,,Nowhere,1999,8\n")
    assert list(mine(user)) == [603]
    assert "Nowhere (1999)" in told.text


# --- Nothing is guessed


def test_a_title_without_a_year_or_of_another_year_is_not_matched(sandbox, user, send):
    film(603, "The Matrix", 1999)
    told = send("Title,Year,Rating10\nThe Matrix,,8\nThe Matrix,2003,8\nMatrix,1999,8\n")
    assert mine(user) == {}
    assert "3 films" in told.text


def test_what_is_not_matched_is_listed_as_far_as_a_message_goes(sandbox, user, send):
    names = [f"{'Very ' * 12}long name number {number} <&>" for number in range(500)]
    told = send("Title,Year,Rating10\n" + "".join(f"{name},1901,8\n" for name in names))
    assert "I did not find 500 films" in told.text
    assert "more" in told.text.splitlines()[-1]
    assert 2000 < len(told.text) <= 4096


def test_ratings_that_are_none_are_named(sandbox, user, send):
    told = send("tmdbID,Title,Rating10\n603,One,11\n604,Two,7.3\n605,Three,good\n680,Four,\n")
    assert mine(user) == {}
    for name in ("One", "Two", "Three"):
        assert name in told.text
    assert "1 row without a rating" in told.text


# --- What is here already


def test_the_same_value_only_makes_the_date_true(sandbox, user, send):
    film(603, "Матрица")
    rated(user, 603, tmdb="7.5", when=at("2025-01-01"))
    told = send(TMDB_EXPORT)
    rating = mine(user)[603]
    assert (rating.source, rating.tmdb_rating, rating.manual_rating) == ("tmdb", Decimal("7.5"), None)
    assert rating.rated_at == at("2022-08-09T10:11:12")
    assert "1 was here, and now has its true date" in told.text
    assert "2 were here already" in send(TMDB_EXPORT).text


def test_a_film_rated_in_a_file_is_no_longer_one_that_was_called_not_interesting(sandbox, user, send):
    film(603, "Матрица"), film(680, "Криминальное чтиво")
    for refused in (603, 680):
        DismissedMovie.objects.create(user=user, movie_id=refused, dismissed_at=1)
    send("tmdbID,Title,Rating10\n603,Матрица,8\n")
    assert 603 in mine(user)
    assert [row.movie_id for row in DismissedMovie.objects.all()] == [680]


def test_the_later_rating_counts_and_what_was_kept_is_named(sandbox, user, send):
    film(603, "Матрица"), film(680, "Криминальное чтиво")
    rated(user, 603, here=3, when=at("2023-06-01"))
    rated(user, 680, tmdb=3, when=at("2022-04-01"))
    told = send(TMDB_EXPORT)
    ratings = mine(user)
    assert (ratings[603].value, ratings[603].rated_at) == (3, at("2023-06-01"))
    assert (ratings[680].value, ratings[680].source, ratings[680].tmdb_rating) == (8, "manual", 3)
    assert "Матрица: 3 here, 7.5 in the file" in told.text
    assert "1 changed: the file's is newer" in told.text


def test_the_files_ratings_are_taken_when_the_person_says_so(sandbox, anna, user, send, handle):
    film(603, "Матрица")
    rated(user, 603, here=3)
    told = send("tmdbID,Rating10\n603,9\n")
    assert "3 here, 9 in the file" in told.text
    anna.press(told, "Take the file's ratings")
    handle()
    import_files()
    assert mine(user)[603].value == 9
    assert "1 replaced" in told.text
    assert [button.text for row in told.buttons for button in row] == ["Undo this import"]


def test_nobody_can_have_anothers_file_imported(sandbox, anna, user, send, handle):
    film(603, "Матрица")
    rated(user, 603, here=3)
    told = send("tmdbID,Rating10\n603,9\n")
    boris = sandbox.telegram.person("Boris", language_code="en")
    boris.send("/start")
    handle()
    message = boris.chat[-1]
    file = FileImport.objects.get()
    for data in (f"file:{file.pk}", "file:999", "file:x", "file:" + "9" * 50):
        message.content = type(message.content)(
            text=message.text, markup={"inline_keyboard": [[{"text": "!", "callback_data": data}]]}
        )
        query = boris.press(message, data=data)
        handle()
        assert query.answer.show_alert
    import_files()
    assert mine(user)[603].value == 3
    assert told.buttons


def test_a_film_twice_in_a_file_has_its_later_rating(sandbox, user, send):
    film(603, "Матрица")
    send("tmdbID,Rating10,WatchedDate\n603,6,2020-01-01\n603,9,2024-01-01\n603,7,2022-01-01\n")
    assert mine(user)[603].value == 9


def test_imported_ratings_are_written_to_tmdb_where_that_is_wished(sandbox, user, send):
    link(user, sandbox)
    film(603, "Матрица"), film(680, "Криминальное чтиво"), film(604, "Матрица 2")
    rated(user, 680, here=3, tmdb=8, when=at("2022-04-01"))
    PendingWrite.objects.create(user=user, movie_id=680, rating=3, base=8)
    rated(user, 604, tmdb=5, when=at("2022-04-01"))
    send(TMDB_EXPORT + "604,,movie,Матрица 2,,,,,6,2022-08-10T11:12:13Z\n")
    waiting = {write.movie_id: (write.rating, write.base) for write in PendingWrite.objects.all()}
    assert waiting == {603: (Decimal("7.5"), None), 604: (6, 5)}, "680 has at TMDb just what the file says"
    assert (mine(user)[680].source, mine(user)[680].value) == ("tmdb", 8)
    User.objects.update(writes_ratings=False)
    send("tmdbID,Rating10\n605,8\n")
    assert not PendingWrite.objects.filter(movie_id=605).exists()


# --- A worker's bad days


def test_tmdb_away_means_later_and_not_lost(sandbox, user, send):
    sandbox.tmdb.fail(r"^/3/", status=503, times=None)
    told = send(IMDB)
    assert "is not answering" in told.text
    assert mine(user) == {}
    import_files()  # not due yet
    sandbox.faults.clear()
    FileImport.objects.update(next_try_at=0)
    import_files()
    assert list(mine(user)) == [603]
    assert "1 new rating" in told.text


def test_a_film_that_tmdb_fails_at_does_not_hold_up_the_others(sandbox, user, send):
    sandbox.tmdb.fail(r"^/3/movie/680$", status=500, times=None)
    told = send("tmdbID,Title,Rating10\n603,The Matrix,8\n680,Pulp Fiction,8\n")
    assert list(mine(user)) == [603]
    assert "Send the file again later" in told.text
    assert "Pulp Fiction" in told.text


def test_films_that_tmdb_fails_at_again_and_again_are_left_behind(sandbox, anna, user, handle):
    film(603, "Матрица")
    sandbox.tmdb.fail(r"^/3/movie/68\d$", status=500, times=None)
    rows = "".join(f"68{number},Film {number},8\n" for number in range(6))
    anna.send_document("r.csv", b"tmdbID,Title,Rating10\n603,The Matrix,9\n" + rows.encode(), "text/csv")
    handle()
    import_files()
    assert FileImport.objects.get().finished_at is None, "so many at once are rather TMDb's fault than theirs"
    FileImport.objects.update(next_try_at=0, attempts=3)
    import_files()
    assert FileImport.objects.get().outcome == {"added": 1, "unanswered": 6}
    assert list(mine(user)) == [603]


def test_a_key_that_tmdb_refuses_is_no_fault_of_the_file(sandbox, user, send, settings):
    settings.TMDB_API_KEY = "0" * 32
    send(IMDB)
    assert FileImport.objects.get().finished_at is None


def test_telegram_away_or_without_the_file(sandbox, user, send):
    sandbox.telegram.fail("getFile", status=500, times=None)
    send("tmdbID,Rating10\n603,9\n")
    assert FileImport.objects.get().finished_at is None
    sandbox.faults.clear()
    sandbox.telegram.forget_file(FileImport.objects.get().telegram_file_id)
    FileImport.objects.update(next_try_at=0)
    import_files()
    assert FileImport.objects.get().error == "gone"


def test_a_worker_that_is_stopped_goes_on_where_it_was(sandbox, anna, user, handle, monkeypatch):
    for number in range(300):
        film(number + 1, f"Film {number}")
    monkeypatch.setattr("ratings.tasks.FILE_SECONDS", -1)
    rows = "".join(f"{number + 1},8\n" for number in range(300))
    anna.send_document("r.csv", b"tmdbID,Rating10\n" + rows.encode(), "text/csv")
    handle()
    file = FileImport.objects.get()
    assert import_file(file.pk) == "more to do"
    FileImport.objects.update(rows_done=100)
    monkeypatch.setattr("ratings.tasks.FILE_SECONDS", 60)
    assert import_file(file.pk) == "done for now"
    assert set(mine(user)) == set(range(101, 301))
    import_file(file.pk)
    assert FileImport.objects.get().outcome == {"added": 200}


def test_a_file_that_takes_longer_to_read_than_a_run_has_is_imported(sandbox, anna, user, handle, monkeypatch):
    film(603, "Матрица")
    anna.send_document("r.csv", b"tmdbID,Rating10\n" + b"603,8\n" * 5000, "text/csv")
    handle()
    monkeypatch.setattr("ratings.tasks.FILE_SECONDS", 0.05)
    import_file(FileImport.objects.get().pk)
    assert FileImport.objects.get().rows_done


def test_a_run_over_many_files_ends_in_time_or_where_the_worker_is_told_to_stop(user, monkeypatch):
    for message_id in range(3):
        FileImport.objects.create(user=user, telegram_file_id="f", message_id=message_id, sent_at=1)
    monkeypatch.setattr("ratings.tasks.MAX_SECONDS", -1)
    assert import_files() == "0 in progress"
    monkeypatch.setattr("ratings.tasks.MAX_SECONDS", 60)
    stop = threading.Event()
    monkeypatch.setattr("ratings.tasks.worker_stop_event", lambda: stop)
    monkeypatch.setattr("ratings.tasks.import_file", lambda file_id: stop.set())
    assert import_files() == "1 in progress"


def test_an_import_does_not_bring_back_who_was_forgotten(sandbox, anna, user, send, handle, monkeypatch):
    from ratings.files import importer

    film(603, "Матрица")
    find = importer.Matcher.match

    def find_and_be_forgotten(self, rows):
        found = find(self, rows)
        forget(anna.id)
        User.objects.create(pk=anna.id)  # and comes back at once
        return found

    monkeypatch.setattr(importer.Matcher, "match", find_and_be_forgotten)
    send("tmdbID,Rating10\n603,9\n")
    assert not Rating.objects.exists()
    assert not FileImport.objects.exists()


def test_an_outcome_that_could_not_be_told_is_told_by_the_next_run(sandbox, anna, user, handle):
    film(603, "Матрица")
    anna.send_document("r.csv", b"tmdbID,Rating10\n603,9\n", "text/csv")
    handle()
    sandbox.telegram.fail("editMessageText", status=500, times=None)
    import_files()
    assert "new rating" not in anna.chat[-1].text
    sandbox.faults.clear()
    import_files()
    assert "1 new rating" in anna.chat[-1].text
    edits = len(sandbox.telegram.calls_of("editMessageText"))
    import_files()
    assert len(sandbox.telegram.calls_of("editMessageText")) == edits


def test_who_has_blocked_the_bot_is_not_written_to(sandbox, anna, user, handle):
    film(603, "Матрица")
    anna.send_document("r.csv", b"tmdbID,Rating10\n603,9\n", "text/csv")
    handle()
    User.objects.update(blocked_at=1)
    calls = len(sandbox.telegram.calls_of("editMessageText"))
    import_files()
    assert mine(user)
    assert len(sandbox.telegram.calls_of("editMessageText")) == calls


def test_nobody_fills_the_queue_with_files(sandbox, anna, user, handle, monkeypatch):
    monkeypatch.setattr("ratings.files.importer.MAX_FILES_PER_USER", 3)
    for _file in range(4):
        anna.send_document("r.csv", b"tmdbID,Rating10\n603,9\n", "text/csv")
    handle()
    assert "still reading" in anna.chat[-1].text
    assert FileImport.objects.count() == 3


def test_no_token_is_in_what_a_file_leaves_behind(sandbox, anna, user, handle, caplog):
    sandbox.faults.add(r"^/file/bot", drop="before", times=None)
    anna.send_document("r.csv", b"tmdbID,Rating10\n603,9\n", "text/csv")
    handle()
    import_files()
    assert FileImport.objects.get().attempts == 1
    assert sandbox.telegram_token not in caplog.text


# --- What people send besides


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b" \r\n ", "empty"),
        (b"Title,Year,Rating10\n", "empty"),
        (b"PK\x03\x04" + os.urandom(3000), "archive is damaged"),
        (b"\x1f\x8b" + os.urandom(3000), "archive"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(3000), "a saved page or a zip archive"),
        (b"%PDF-1.7 " + b"endobj\n" * 500, "no ratings"),
        (b"hello world", "no ratings"),
        (b"{}" * 10_000, "no ratings"),
        (b"Date,Name,Year,Letterboxd URI\n2020-01-01,The Matrix,1999,https://boxd.it/1\n", "have you seen them?"),
        (b'Title,Year,Rating10\n"' + b"never closed " * 20_000, "never closed"),
        (b"tmdbID,Rating10\n603,8" + b"," * 3_000_000, "never ends"),
        (b"tmdbID,Rating10\n" + b"603,8\n" * 100_001, "too long"),
        (b"\n" * 200_000, "empty"),
        (b"tmdbID,Rating10" + b"\n" * 200_000, "empty"),
    ],
)
def test_a_file_that_cannot_be_imported_gets_a_clear_answer(sandbox, user, send, content, words):
    assert words in send(content).text
    assert not Rating.objects.exists()


def test_a_file_too_big_for_telegram_is_refused_before_it_is_asked_for(sandbox, anna, handle):
    anna.send_document("big.csv", b"x" * (20 * 2**20 + 1), "text/csv")
    handle()
    assert "too long" in anna.chat[-1].text
    assert not FileImport.objects.exists()


def test_a_csv_in_a_group_is_none_of_our_business(sandbox, anna, handle):
    group = sandbox.telegram.group("Film club", [anna])
    anna.send_document("r.csv", b"tmdbID,Rating10\n603,9\n", "text/csv", chat=group)
    handle()
    assert not FileImport.objects.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1251"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_every_usual_encoding_and_separator_is_understood(encoding, separator):
    lines = ["Title|Year|Your Rating|Date Rated", "Сталкер|1979|9|2024-05-01", "Андрей Рублёв|1966|10|01.05.2024"]
    text = "\r\n".join(line.replace("|", separator) for line in lines)
    rows = read(text.encode(encoding), NOW).rows
    assert [(row.title, row.year, row.value) for row in rows] == [("Сталкер", 1979, 9), ("Андрей Рублёв", 1966, 10)]
    assert {row.at for row in rows} == {at("2024-05-01")}


def test_western_letters_of_old_exports_are_understood():
    rows = read("Const,Your Rating,Title,Year\ntt0211915,9,Amélie à Noël,2001\n".encode("cp1252"), NOW).rows
    assert rows[0].title == "Amélie à Noël"


def test_one_broken_letter_does_not_make_another_encoding():
    rows = read(b"Title,Year,Rating10\n" + ("Сталкер" * 9).encode() + b"\xff,1979,9\n", NOW).rows
    assert rows[0].title.startswith("Сталкер")


def test_quoted_line_breaks_commas_and_a_hint_for_excel_are_understood():
    rows = read(b'sep=;\r\n"Title";"Year";"Rating10"\r\n"Two\r\nlines; ""quoted""";1999;"7,5"\r\n', NOW).rows
    assert [(row.title, row.value) for row in rows] == [('Two lines; "quoted"', Decimal("7.5"))]


def test_ten_thousand_columns_do_no_harm():
    names = ["tmdbID", *(f"column {n}" for n in range(10_000)), "Rating10"]
    rows = read((",".join(names) + "\n603" + "," * 10_001 + "8\n").encode(), NOW).rows
    assert [(row.tmdb_id, row.value) for row in rows] == [(603, 8)]


@pytest.mark.parametrize(
    "content",
    [
        b"," * (20 * 2**20),
        b"tmdbID,Rating10\n" + b'"",' * (7 * 2**20),
        b"tmdbID,Rating10\n" + b'"\n",' * (5 * 2**20),  # keeps a reference for each of five million cells
        b"Title,Rating10\n" + b"\xf0\x9f\x98\x80" * (5 * 2**20),
        b"Title,Rating10" + b"," * 10_000 + b"\n" + (b"x,8" + b"," * 10_000 + b"\n") * 2000,
        "\N{CYRILLIC CAPITAL LETTER ZHE}".encode() * (10 * 2**20),
    ],
    ids=["one line", "pairs of quotes", "one endless row", "one endless word", "wide", "letters"],
)
def test_a_hostile_file_of_twenty_megabytes_takes_bounded_memory(content):
    tracemalloc.start()
    try:
        with suppress(ParseError, ScaleUnknown):
            read(content, NOW)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(content)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-05-02", (at("2023-05-02"), True)),
        ("02.05.2023", (at("2023-05-02"), True)),
        ("2022-08-09T10:11:12Z", (at("2022-08-09T10:11:12"), False)),
        ("2022-08-09 10:11:12 UTC", (at("2022-08-09T10:11:12"), False)),
        ("Tue Aug 14 00:00:00 2012", (at("2012-08-14"), True)),
        ("02/05/2023", (None, False)),
        ("2999-01-01", (None, False)),
        ("0001-01-01", (None, False)),
        ("9999-12-31T23:59:59-23:59", (None, False)),
        ("yesterday", (None, False)),
    ],
)
def test_a_date_is_what_it_surely_is(text, expected):
    assert dates.parse_date(text, NOW) == expected


@bounds(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=500), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_are_read_or_refused(content):
    for prefix in (b"", b"Title,Year,Rating10\n", b"\xff\xfe", b"tmdbID;Rating;Date\n"):
        with suppress(ParseError, ScaleUnknown, ListUnknown):
            rows = read(prefix + content, NOW).rows
            rated = [row for row in rows if not row.skip_reason and row.purpose is Purpose.RATING]
            assert all(Decimal("0.5") <= row.value <= 10 for row in rated)


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@bounds(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=6))
def test_any_table_is_imported_and_told_within_telegrams_limits(sandbox, user, rows):
    text = io.StringIO()
    csv.writer(text).writerows([["tmdbID", "Title", "Your Rating", "Date Rated"], *rows])
    try:
        read_rows = read(text.getvalue().encode(), NOW).rows
    except ParseError:
        return
    file = FileImport.objects.create(user=user, sent_at=NOW, finished_at=NOW, rows_total=len(read_rows))
    Merge(file, user, {}).take(read_rows)
    words, _keyboard = report(file)
    assert 0 < utf16(parse_html(words)[0]) <= 4096


# --- /export


def test_an_export_is_sent_as_one_file_with_the_count(sandbox, anna, user, handle):
    film(603, "Матрица", 1999, original_title="The Matrix", imdb_id="tt0133093")
    rated(user, 603, here="7.5", when=at("2024-05-01T10:00:00"))
    anna.send("/export")
    handle()
    message = anna.chat[-1]
    assert message.document.file_name.endswith(".csv")
    assert "Your 1 rating." in message.caption
    content = sandbox.telegram.files[message.document.file_id].content
    assert content.decode("utf-8-sig").splitlines() == [
        "Original Title,Title,Year,Your Rating,Date Rated,Title Type,Const,tmdbID,Rating10,Exact Rating",
        "The Matrix,Матрица,1999,8,2024-05-01,movie,tt0133093,603,8,7.5",
    ]


def test_an_empty_export_is_a_sentence_with_the_ways_to_ratings(anna, handle):
    anna.send("/export")
    handle()
    said = anna.chat[-1]
    assert "no ratings yet" in said.text
    assert [button.data for row in said.buttons for button in row] == ["do:recommend", "do:connect", "file_help"]


def test_an_export_is_offered_in_the_layouts_that_letterboxd_and_tmdb_import(
    sandbox, anna, user, handle, send, monkeypatch
):
    monkeypatch.setitem(LAYOUTS, "letterboxd", LAYOUTS["letterboxd"]._replace(max_bytes=110))
    for movie_id in (603, 604, 605):
        film(movie_id, f"Матрица {movie_id}", 1999, original_title="The Matrix", imdb_id=f"tt0000{movie_id}")
        rated(user, movie_id, here="7.5", when=at("2024-05-01T10:00:00"))
    anna.send("/export")
    handle()
    own = anna.chat[-1]
    anna.press(own, "For TMDb")
    handle()
    anna.press(own, "For Letterboxd")
    handle()
    tmdb, *parts = [sandbox.telegram.files[message.document.file_id].content.decode() for message in anna.chat[-3:]]
    assert tmdb.splitlines()[:2] == [
        "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,Date Rated",
        "603,tt0000603,movie,Матрица 603,1999-01-01T00:00:00Z,,,0.0,7.5,2024-05-01T10:00:00Z",
    ]
    header = "tmdbID,imdbID,Title,Year,Rating10"
    assert [part.splitlines() for part in parts] == [
        [header, "603,tt0000603,The Matrix,1999,8", "604,tt0000604,The Matrix,1999,8"],
        [header, "605,tt0000605,The Matrix,1999,8"],
    ]
    assert "3 were here already" in send(tmdb).text


def test_an_export_has_what_letterboxd_and_imdb_importers_read_with_or_without_the_mark(user):
    film(603, "Матрица", 1999, imdb_id="tt0133093")
    rated(user, 603, tmdb="0.5")
    for encoding in ("utf-8", "utf-8-sig"):  # a reader that knows the byte order mark, and one that does not
        row = next(csv.DictReader(io.StringIO(export(user.pk).files[0].decode(encoding))))
        assert (row["tmdbID"], row["Title"], row["Year"], row["Rating10"]) == ("603", "Матрица", "1999", "1")
        assert (row["Const"], row["Your Rating"], row["Title Type"]) == ("tt0133093", "1", "movie")
        assert row["Date Rated"] == datetime.fromtimestamp(NOW, UTC).date().isoformat()


def test_an_export_comes_back_in_as_it_was(sandbox, anna, user, send):
    days = [at("2024-05-01T10:00:00"), at("2020-01-31T23:59:59"), at("2019-12-31T00:00:00")]
    values = ["7.5", "0.5", "10.0"]
    for movie_id, value, day in zip((603, 604, 680), values, days, strict=True):
        film(movie_id, f"=Film {movie_id}", 1999)
        rated(user, movie_id, here=value, when=day)
    (content,), _count = export(user.pk)
    before = {film: (rating.value, rating.rated_at) for film, rating in mine(user).items()}
    assert "3 were here already" in send(content).text
    assert {film: (rating.value, rating.rated_at) for film, rating in mine(user).items()} == before
    Rating.objects.all().delete()
    assert "3 new ratings" in send(content).text
    assert {film: rating.value for film, rating in mine(user).items()} == {f: value for f, (value, _) in before.items()}
    assert [rating.rated_at // 86_400 for rating in mine(user).values()] == [day // 86_400 for day in days]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_cell_of_an_export_is_a_formula(title):
    text = escape_formula(title)
    assert text[:1] not in set("=+-@\t\r\n＝＋－＠")
    if title.strip() and title.strip()[0] not in "'":
        assert rows.clean_title(text) == rows.clean_title(title)


def test_twelve_thousand_ratings_go_out_and_come_back(sandbox, user, send):
    Movie.objects.bulk_create([Movie(pk=n, title=f"Фильм номер {n}") for n in range(1, 12_001)])
    Rating.objects.bulk_create(
        Rating(user=user, movie_id=n, manual_rating=7, normalized_rating=7, rated_at=NOW, source="manual")
        for n in range(1, 12_001)
    )
    (content,), count = export(user.pk)
    assert count == 12_000
    Rating.objects.all().delete()
    told = send(content)
    deadline = time.monotonic() + 120
    while FileImport.objects.filter(finished_at=None).exists() and time.monotonic() < deadline:
        import_files()
    assert "12000 new ratings" in told.text.replace(",", "").replace("\xa0", "")
    assert Rating.objects.count() == 12_000
    assert sandbox.tmdb.requests == []


@pytest.mark.django_db(transaction=True)
def test_real_processes_take_a_file_in_and_an_export_out(sandbox, start):
    bot, cluster = start("runbot"), start("qcluster")
    anna = sandbox.telegram.person("Anna", language_code="en")
    anna.send_document("ratings.csv", LETTERBOXD.encode(), "text/csv")
    told = anna.wait(lambda message: "2 new ratings" in message.words, timeout=60)
    assert "No Such Film, Ever (1987)" in told.text
    assert any("Reading your file" in before.text for before in told.edits)
    anna.send("/export")
    file = anna.wait(lambda message: message.document, timeout=30).document
    assert b"129" in sandbox.telegram.files[file.file_id].content
    anna.send("/stats")
    assert "Rate 3 more films" in anna.wait(lambda message: "picture" in message.words, timeout=30).text
    assert "Traceback" not in bot.output + cluster.output
