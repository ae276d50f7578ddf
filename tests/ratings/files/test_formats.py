"""The layouts of other services: what a file is shows in its content, and what it says is never changed."""

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ratings.files import dates, tables
from ratings.files.encoding import encoding_of
from ratings.files.kinds import is_no_film
from ratings.files.parser import read
from ratings.files.rows import ParseError, Purpose, Scale, ScaleUnknown, parse_points
from tests.helpers.files import zipped

NOW = 1_790_000_000
SERIES = {"skip_reason": "no_film"}


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def rated(content, scale=Scale.UNKNOWN):
    """{name: (rating, moment)} of what a file rates, and the names of what it leaves out with the reason."""
    content = content.encode() if isinstance(content, str) else content
    rows = read(content, NOW, scale).rows
    return (
        {row.name: (row.value, row.at) for row in rows if not row.skip_reason},
        {row.name: row.skip_reason for row in rows if row.skip_reason},
    )


def test_imdbs_lists_of_old_name_their_columns_otherwise():
    old = (
        '"position","const","created","modified","description","Title","Title type","You rated","IMDb Rating","Year"\n'
        '"1","tt0000001","Sat Mar  4 00:00:00 2017","","","One","Feature Film","9","8.7","1999"\n'
        '"2","tt0000002","Sun Mar  5 00:00:00 2017","","","Two","TV Series","10","9.5","2008"\n'
    )
    of_2017 = (
        "Const,Your Rating,Date Added,Title,URL,Title Type,IMDb Rating,Year\n"
        "tt0000001,8,2017-11-02,One,x,movie,5,1999\ntt0000002,7,2017-11-03,Zwei,x,Fernsehserie,5,2008\n"
    )
    assert rated(old) == ({"One (1999)": (9, at("2017-03-04"))}, {"Two (2008)": "no_film"})
    assert rated(of_2017) == ({"One (1999)": (8, at("2017-11-02"))}, {"Zwei (2008)": "no_film"})


def test_kinoriums_backup_is_read():
    text = (
        "Title\tOriginal Title\tType\tYear\tMy rating\tDate\r\n"
        "Брат\t\tФильм\t1997\t10\t2020-05-24 20:00:00\r\nКот\t\tМультсериал\t2001\t9\t2020-05-23 20:00:00\r\n"
    )
    expected = {"Брат (1997)": (10, at("2020-05-24T20:00:00"))}, {"Кот (2001)": "no_film"}
    assert rated(text.encode("utf-16")) == expected


KINOPOISK_HEAD = "<tr><td><i>русскоязычное название</i></td><td>оригинальное название</td><td>год</td>"
KINOPOISK_HEAD += "<td>моя оценка</td><td>дата и время</td></tr>"


def test_kinopoisks_table_is_read_as_it_was_and_as_excel_saved_it():
    table = (
        f"<html><head><title>оценки</title></head><body><table>{KINOPOISK_HEAD}"
        "<tr><td>Друзья (сериал)</td><td>Friends</td><td>1994</td><td>9</td><td>10:52:43 11.04.2016</td></tr>"
        "<tr><td><b>Брат</b></td><td></td><td>1997</td><td>10</td><td>10:52:41 11.04.2016</td></tr>"
        "<tr><td>Кот &amp; Ко</td><td>Cat</td><td>2001</td><td>7</td><td>10:52:42 11.04.2016</td></tr></table>"
    )
    text = (
        "русскоязычное название;оригинальное название;год;моя оценка;дата и время\r\n"
        "Друзья (сериал, 1994 – 2004);Friends;1994;9;10:52:43 11.04.2016\r\n"
        "Брат (ТВ);;1997;10;10:52:41 11.04.2016\r\nКот & Ко;Cat;2001;7;10:52:42 11.04.2016\r\n"
    )
    expected = {"Брат (1997)": (10, at("2016-04-11T10:52:41")), "Кот & Ко (2001)": (7, at("2016-04-11T10:52:42"))}
    for content in (table, text):
        assert rated(content.encode("cp1251")) == (expected, {"Друзья (1994)": "no_film"})


def test_a_saved_page_of_kinopoisk_gives_films_and_leaves_series_out():
    page = """<!DOCTYPE html><html><head><meta charset="utf-8"><script>var ur_data = [];</script></head><body>
    <div class="profileFilmsList">
    <div class="item even"><div class="num">1</div><div class="info">
      <div class="nameRus"><a href="/film/41519/">Брат (1997)</a></div><div class="nameEng">&nbsp;</div></div>
      <div class="date">11.04.2016, 10:53</div>
      <script>ur_data.push({film: 41519, rating: '10'});</script></div>
    <div class="item"><div class="info"><div class="nameRus"><a href="/series/77044/">Друзья (сериал, 1994 – 2004)
      </a></div><div class="nameEng">Friends</div></div><div class="date">10.04.2016, 10:53</div>
      <script>ur_data.push({film: 77044, rating: '9'})</script></div>
    <div class="item"><div class="nameRus"><a href="/film/3/">Кот (2001)</a></div><div class="nameEng">Cat</div></div>
    </div></body></html>"""
    parsed = read(page.encode(), NOW)
    assert parsed.is_page
    assert {row.name: (row.value, row.at, row.skip_reason) for row in parsed.rows} == {
        "Брат (1997)": (10, at("2016-04-11T10:53:00"), ""),
        "Друзья": (None, at("2016-04-10T10:53:00"), "no_film"),
        "Кот (2001)": (None, None, "unrated"),
    }


def test_trakt_is_out_of_ten_however_low_its_ratings_are():
    text = (
        "rated_at,type,title,year,trakt_rating,trakt_id,imdb_id,tmdb_id,season,episode,rating\n"
        "2021-03-04T20:21:22.000Z,movie,One,1999,8.4,1,tt0000001,11,,,4\n"
        "2021-03-05T20:21:22.000Z,episode,Two,2008,8.4,2,tt0000002,12,1,2,5\n"
    )
    assert rated(text) == ({"One (1999)": (4, at("2021-03-04T20:21:22"))}, {"Two (2008)": "no_film"})
    film = {"title": "One", "year": 1999, "ids": {"trakt": 1, "imdb": "tt0000001", "tmdb": 11}}
    ratings = json.dumps([{"rated_at": "2021-03-04T20:21:22.000Z", "rating": 4, "type": "movie", "movie": film}])
    shows = json.dumps([{"rated_at": "2021-03-04T20:21:22.000Z", "rating": 4, "type": "show", "show": film}])
    listed = json.dumps(
        [{"listed_at": "2021-03-04T20:21:22.000Z", "type": "movie", "movie": film | {"title": "Later"}}]
    )
    assert rated(ratings) == ({"One (1999)": (4, at("2021-03-04T20:21:22"))}, {})
    content = zipped(
        ratings__movies_json=ratings, ratings__shows_json=shows, lists__list_json=listed,
        **{"lists__lists-watchlist_json": listed},
    )  # fmt: skip
    parsed = read(content, NOW)
    assert sorted((row.title, row.skip_reason) for row in parsed.rows) == [
        ("Later", ""), ("One", ""), ("One", "no_film"),
    ]  # fmt: skip


def test_simkl_is_read_as_csv_and_as_a_backup():
    text = (
        "SIMKL_ID,Title,Type,Year,Watchlist,LastEpWatched,WatchedDate,Rating,Memo,TVDB,TMDB,IMDB\n"
        "1,One,Movie,1999,completed,,2021-03-04T20:21:22Z,9,,,11,tt0000001\n"
        "2,Two,Tv,2008,completed,s5e16,2021-03-05T20:21:22Z,10,,,12,tt0000002\n"
        "3,Later,Movie,2020,plantowatch,,,,,,13,tt0000003\n"
    )
    film = {"title": "One", "year": 1999, "ids": {"imdb": "tt0000001", "tmdb": "11"}}
    backup: dict[str, Any] = {
        "shows": [{"user_rating": 10, "status": "completed", "show": film | {"title": "Two", "year": 2008}}],
        "anime": [],
        "movies": [
            {"user_rating": 9, "user_rated_at": "2021-03-04T20:21:22Z", "status": "completed", "movie": film},
            {"user_rating": None, "status": "plantowatch", "movie": film | {"title": "Later", "year": 2020}},
        ],
    }
    films = {"One (1999)": (9, at("2021-03-04T20:21:22")), "Later (2020)": (None, None)}
    expected = films, {"Two (2008)": "no_film"}
    assert rated(text) == expected
    backup["movies"][1]["movie"]["ids"] = {}
    assert rated(json.dumps(backup)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title,year,tmdbId,imdbId,userRating\nOne,1999,11,tt0000001,9\n", (11, "tt0000001", 9)),
        ("movie_id,imdb_id,tmdb_id,rating,average_rating,title\n1,0114709,862,4.5,3.9,One (1999)\n",
         (862, "tt0114709", 9)),
        ("media_id,source,media_type,title,image,season_number,episode_number,score,status,end_date\n"
         "11,tmdb,movie,One,x,,,7.5,Completed,2021-03-04\n", (11, "", Decimal("7.5"))),
        ('{"metadata": [{"lot": "movie", "source": "tmdb", "identifier": "11", "source_id": "One", "collections": [],'
         '"seen_history": [], "reviews": [{"rating": "85", "review": {"date": "2021-03-04"}}]}]}',
         (11, "", Decimal("8.5"))),
        ("Svensk titel;Originaltitel;År;Betyg;Datum\nOne;Ett;1999;4;2021-03-04\n", (None, "", 8)),
        ("VoteDate;MovieTitle;IMDB;Score\n2004-01-16,One;0000001;4\n", (None, "tt0000001", 8)),
        ("VoteDate;MovieTitle;IMDB;Score\n2004-01-16;One;-1;4\n", (None, "", 8)),
        ("<?xml version='1.0' encoding='iso-8859-1'?>\n<recentrankings><pageno>1</pageno><film><filmid>1</filmid>"
         "<filmname>One (1999)</filmname><imdbid>tt0000001</imdbid><score>85</score><quote></quote>"
         "<reviewdate>Apr 23 2017, 08:18</reviewdate><tier>9</tier></film></recentrankings>",
         (None, "tt0000001", Decimal("8.5"))),
        ('<?xml version="1.0"?><MediaContainer size="1"><Video ratingKey="1" type="movie" title="One" rating="3.1" '
         'userRating="9.0" year="1999"><Guid id="imdb://tt0000001"/></Video></MediaContainer>', (None, "tt0000001", 9)),
        ('[{"overall": 4, "updated_at": 1598659678, "film": {"title": "One", "year": 1999}}]', (None, "", 8)),
        ("标题,个人评分,打分日期,上映日期\nOne / Uno,4,2020-01-02,1999-03-31(美国)\n", (None, "", 8)),
        ("Название;Оригинальное название;Год;Тип;Моя оценка;Дата\nOne;;1999;Фильм;9;04.03.2021\n", (None, "", 9)),
        ("Original Title,Title,Year,Your Rating,Date Rated,Title Type,Const,tmdbID,Rating10,Exact Rating\n"
         "x,One,1999,8,2024-05-01,movie,tt0000001,11,8,7.5\n", (11, "tt0000001", Decimal("7.5"))),
        ("My films of 2020\n\nTitle,Year,Rating10\nOne,1999,9\n", (None, "", 9)),
    ],
    ids=["movary", "movielens", "yamtrack", "ryot", "filmtipset", "filmtipset's votes", "without ids", "criticker",
         "plex", "mubi", "douban", "russian", "own", "below a title"],
)  # fmt: skip
def test_the_ids_and_the_rating_are_those_of_the_layout(text, expected):
    (row,) = read(text.encode(), NOW).rows
    assert ((row.tmdb_id, row.imdb_id, row.value), row.title, row.skip_reason) == (expected, "One", "")


def sheet_xml(rows):
    cells = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in row)
        + "</table:table-row>"
        for row in rows
    )
    names = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    return (
        f"<office:document-content{names}><office:body><office:spreadsheet><table:table>{cells}</table:table>"
        "</office:spreadsheet></office:body></office:document-content>"
    )


def test_spreadsheets_are_read():
    openpyxl = pytest.importorskip("openpyxl")
    book, content = openpyxl.Workbook(), io.BytesIO()
    for row in (["Films"], ["Title", "Year", "Rating10", "Date"], ["One", 1999, 9, datetime(2021, 3, 4)]):
        book.active.append(row)
    book.save(content)
    assert rated(content.getvalue()) == ({"One (1999)": (9, at("2021-03-04"))}, {})
    rows = [["Title", "Year", "Rating10", "Date"], ["One", "1999", "9", "2021-03-04"]]
    assert rated(zipped(**{"content.xml": sheet_xml(rows)})) == ({"One (1999)": (9, at("2021-03-04"))}, {})


def test_a_spreadsheet_that_would_take_all_memory_is_refused(monkeypatch):
    monkeypatch.setattr(tables, "MAX_PIECE", 2000)
    for content in (
        sheet_xml([["x"] * 1000]),
        '<!DOCTYPE x [<!ENTITY a "b">]>' + sheet_xml([["x"]]),
        "<office:document-content",
    ):
        with pytest.raises(ParseError, match="broken_sheet"):
            read(zipped(**{"content.xml": content}), NOW)
    monkeypatch.setattr(tables, "MAX_SHEET_BYTES", 1000)
    with pytest.raises(ParseError, match="too_long"):
        read(zipped(**{"content.xml": sheet_xml([["x"] * 20])}), NOW)


# --- Archives


LETTERBOXD = "Date,Name,Year,Letterboxd URI,Rating\n2024-01-02,One,1999,https://boxd.it/1,4.5\n"
WATCHED = "Date,Name,Year,Letterboxd URI\n2024-01-02,{},1999,https://boxd.it/1\n"
DIARY = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n"


def test_letterboxds_zip_is_read_without_what_was_deleted():
    parsed = read(
        zipped(
            ratings_csv=LETTERBOXD, deleted__ratings_csv=LETTERBOXD.replace("One", "Gone"),
            orphaned__diary_csv=LETTERBOXD.replace("One", "Orphan"), profile_csv="x",
            watched_csv=WATCHED.format("One") + WATCHED.format("Seen").splitlines()[1] + "\n",
            watchlist_csv=WATCHED.format("Later"),
            diary_csv=DIARY + "2023-01-01,One,1999,https://boxd.it/a,3,,,2022-12-31\n",
        ),
        NOW,
    )  # fmt: skip
    assert {(row.title, row.value, row.purpose) for row in parsed.rows if not row.skip_reason} == {
        ("One", 9, Purpose.RATING), ("Later", None, Purpose.WANTED),
    }  # fmt: skip
    assert sorted((row.title, row.skip_reason) for row in parsed.rows if row.skip_reason) == [
        ("One", "repeated"), ("One", "repeated"), ("Seen", "unrated"),
    ]  # fmt: skip
    assert sorted(parsed.members) == ["diary.csv", "ratings.csv", "watched.csv", "watchlist.csv"]
    assert parsed.titles == ["Letterboxd"]


def test_an_archive_is_read_within_bounds(monkeypatch):
    from ratings.files import archives

    assert rated(zipped(**{"my.zip": zipped(ratings_csv=LETTERBOXD)}))[0], "a zip within a zip"
    with pytest.raises(ParseError, match="no_ratings_inside"):
        read(zipped(readme="hello", **{"a.png": b"\x89PNG\0\0"}), NOW)
    with pytest.raises(ParseError, match="broken_archive"):
        read(zipped(ratings_csv=LETTERBOXD * 50)[:300], NOW)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    with pytest.raises(ParseError, match="too_long"):
        read(zipped(a="", b="", c="", d=""), NOW)
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(ParseError, match="too_long"):
        read(zipped(ratings_csv=LETTERBOXD * 50), NOW)


# --- Scale


@pytest.mark.parametrize(("ratings", "values"), [("4 3.5", (8, 7)), ("4 8", (4, 8)), ("4 5.5", (4, Decimal("5.5")))])
def test_halves_and_nothing_above_five_are_stars(ratings, values):
    one, two = ratings.split()
    found, _left = rated(f"Title,Rating\nOne,{one}\nTwo,{two}\n")
    assert (found["One"][0], found["Two"][0]) == values


def test_what_may_be_either_is_asked_about():
    text = b"Title,Year,Rating\nOne,1999,4\nTwo,2000,5\n"
    with pytest.raises(ScaleUnknown) as question:
        read(text, NOW)
    assert question.value.examples == ["One (1999): 4", "Two (2000): 5"]
    assert [row.value for row in read(text, NOW, Scale.FIVE).rows] == [8, 10]
    assert [row.value for row in read(text, NOW, Scale.TEN).rows] == [4, 5]
    with pytest.raises(ScaleUnknown):
        read(LETTERBOXD.replace("4.5", "8").encode(), NOW)


def test_a_rating_may_say_what_it_is_out_of():
    assert parse_points("4/5", Scale.UNKNOWN) == (4, Scale.FIVE)
    assert parse_points("85%", Scale.UNKNOWN) == (85, Scale.HUNDRED)
    assert parse_points("★★★½", Scale.UNKNOWN) == (Decimal("3.5"), Scale.FIVE)
    assert parse_points("good", Scale.TEN)[0] is None


# --- Kinds, dates, viewings, encodings


@pytest.mark.parametrize(
    "kind",
    ["Сериал", "Мультсериал", "Эпизод", "Мини-сериал", "ТВ-шоу", "Serie TV", "Fernsehserie", "Série de TV", "Anime",
     "Аниме", "tvSeries", "TV Mini Series", "tvEpisode", "Episodio TV", "videoGame", "Music Video", "Podcast Series",
     "Tv", "show", "season", "テレビシリーズ", "TV 시리즈", "टीवी सीरीज़", "مسلسل تلفزيوني", "Мультсеріал", "TV Bölümü",
     "Jeu vidéo", "Tévésorozat", "Τηλεοπτική σειρά", "סדרת טלוויזיה", "Video musical", "Видеоигра",
     "Programa de TV", "ТВ", "OVA"],
)  # fmt: skip
def test_what_is_no_film_is_known_in_any_language(kind):
    assert is_no_film(kind)


@pytest.mark.parametrize(
    "kind", ["", "Movie", "TV Movie", "tvMovie", "Фильм", "Мультфильм", "Короткометражка", "Fernsehfilm", "Film TV",
             "Telefilm", "Video", "Short", "Documentary", "Anime Film", "Musical", "テレビ映画", "Фільм", "TV Special"]
)  # fmt: skip
def test_a_film_is_one_in_any_language(kind):
    assert not is_no_film(kind)


def test_day_and_month_are_decided_from_the_file_as_a_whole():
    def read_dates(*texts):
        rows = "".join(f"Film {number},9,{text}\n" for number, text in enumerate(texts))
        parsed = read(f"Title,Rating10,Date\n{rows}".encode(), NOW)
        return [row.at for row in sorted(parsed.rows, key=lambda row: row.title)], parsed.undated

    assert read_dates("3/4/2015", "1/25/2014") == ([at("2015-03-04"), at("2014-01-25")], 0)
    assert read_dates("3/4/2015", "25/1/2014") == ([at("2015-04-03"), at("2014-01-25")], 0)
    assert read_dates("3/4/2015", "5/6/2014") == ([None, None], 2)
    assert read_dates("13/4/2015", "4/13/2014") == ([None, None], 2)
    assert read_dates("yesterday", "", "11 апреля 2016") == ([None, None, at("2016-04-11")], 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:53:27 11.04.2016", "2016-04-11T10:53:27"),
        ("11.04.2016, 10:53", "2016-04-11T10:53:00"),
        ("11 апреля 2016 г.", "2016-04-11"),
        ("April 11, 2016", "2016-04-11"),
        ("25. Januar 2014", "2014-01-25"),
        ("2016/04/11", "2016-04-11"),
        ("1460332800", "2016-04-11"),
        ("42471", "2016-04-11"),
        ("Mon Apr 11 2016 00:00:00 GMT+0000 (Coordinated Universal Time)", "2016-04-11"),
        ("3/14/15 5:06 PM", "2015-03-14T17:06:00"),
    ],
)
def test_every_usual_date_is_understood(text, expected):
    assert dates.parse_date(text, NOW).at == at(expected)


@pytest.mark.parametrize(
    "rows",
    [
        ["2023-01-01,One,1999,b,5,Yes,,2022-12-31", "2020-01-01,One,1999,a,3,,,2020-01-01"],
        ["2023-01-01,One,1999,a,3,,,2020-01-01", "2023-01-01,One,1999,b,5,Yes,,2022-12-31"],
        [
            "2023-01-02,X,1999,x,1,,,",
            "2023-01-01,One,1999,b,5,,,",
            "2023-01-01,One,1999,a,3,,,",
            "2022-01-01,Y,1,,1,,,",
        ],
    ],
    ids=["newest first", "logged on one day", "order of the file"],
)
def test_the_later_viewing_wins_within_a_file(rows):
    found, left = rated(DIARY + "\n".join(rows) + "\n")
    assert found["One (1999)"][0] == 10
    assert left["One (1999)"] == "repeated"


@pytest.mark.parametrize("encoding", ["cp1251", "cp866", "koi8-r", "mac-cyrillic", "utf-8", "utf-16-le"])
@pytest.mark.parametrize("titles", [["Матрица", "Ёжик в тумане"], ["Брат"], ["СТАЛКЕР", "Зеркало", "Всё ещё впереди"]])
def test_russian_is_read_in_every_encoding_it_was_ever_written_in(encoding, titles):
    text = "Title,Rating10\n" + "".join(f"{title},9\n" for title in titles)
    assert {row.title for row in read(text.encode(encoding), NOW).rows} == set(titles)


def test_other_languages_are_no_russian():
    assert encoding_of("Amélie à Noël\nGröße\n".encode("cp1252")) == "cp1252"
    assert "千と千尋の神隠し" in "千と千尋の神隠し もののけ姫 となりのトトロ".encode("cp932").decode(
        encoding_of("千と千尋の神隠し もののけ姫 となりのトトロ".encode("cp932"))
    )


@pytest.mark.parametrize(
    ("header", "rating", "value"),
    [
        ("Название фильма;Год выпуска;Балл (из 10)", "4", 4),
        ("Фильм;Год;Оценка (1-5)", "4", 8),
        ("Title;Year;Your rating [out of 5]", "4", 8),
        ("Film Name;Year;My score / 100", "85", "8.5"),
        ("Movie;Year;Rating out of 10", "4", 4),
        ("Titolo;Anno;La tua valutazione", "9", 9),
        ("Название;Год;Мой балл", "9", 9),
    ],
)
def test_a_column_may_say_what_its_ratings_are_out_of(header, rating, value):
    assert rated(f"{header}\nOne;1999;{rating}\n") == ({"One (1999)": (Decimal(value), None)}, {})


def test_most_ratings_above_ten_are_out_of_a_hundred_and_one_alone_is_a_slip():
    def values(*ratings):
        lines = "".join(f"F{number},2000,{one}\n" for number, one in enumerate(ratings))
        return [row.value for row in read(f"Title,Year,Score\n{lines}".encode(), NOW).rows]

    assert values(85, 50, 7) == [Decimal("8.5"), 5, Decimal("0.5")]
    assert values(9, 8, 77) == [9, 8, None]


FILM = {"title": "One", "year": 1999}


@pytest.mark.parametrize(
    "document",
    [
        [FILM | {"my_rating": 8, "imdb_id": "tt0000001"}],
        {"user": {"name": "x"}, "ratings": [{"movie": FILM | {"ids": {"imdb": "tt0000001"}}, "rating": 8}]},
        {"Movies": [{"Name": "One", "ProductionYear": 1999, "ProviderIds": {"Imdb": "tt0000001"},
                     "UserData": {"Rating": 8.0, "Played": True}}]},
        {"MediaContainer": {"Metadata": [FILM | {"type": "movie", "userRating": 8.0,
                                                 "Guid": [{"id": "imdb://tt0000001"}, {"id": "tmdb://11"}]}]}},
    ],
)  # fmt: skip
def test_films_are_found_in_json_of_any_shape(document):
    row = read(json.dumps(document).encode(), NOW).rows[0]
    assert (row.name, row.imdb_id, row.value, row.skip_reason) == ("One (1999)", "tt0000001", 8, "")


def test_a_list_of_shows_in_json_is_left_out():
    document = {"personal_ratings": [FILM | {"rating": 8}], "shows": [FILM | {"title": "Two", "rating": 9}]}
    assert rated(json.dumps(document)) == ({"One (1999)": (8, None)}, {"Two (1999)": "no_film"})


def test_a_year_behind_the_original_title_is_the_films():
    text = "Название;Оригинальное название;Моя оценка\nПервый;One, 1999;9\nБегущий;Runner 2049;9\n"
    assert [(row.original_title, row.year) for row in read(text.encode(), NOW).rows] == [
        ("One", 1999), ("Runner 2049", None),
    ]  # fmt: skip


def test_a_film_among_anime_is_a_film():
    film = {"status": "completed", "user_rating": 9, "anime_type": "movie", "show": {"title": "One", "year": 2001}}
    assert rated(json.dumps({"anime": [film, film | {"anime_type": "tv", "show": {"title": "Two"}}]})) == (
        {"One (2001)": (9, None)}, {"Two": "no_film"},
    )  # fmt: skip


def test_imdbs_list_is_read_in_a_language_that_names_its_columns_otherwise():
    header = "Const,आपकी रेटिंग,तिथि,शीर्षक,मूल शीर्षक,URL,प्रकार,IMDb रेटिंग,अवधि,साल,शैलियाँ,वोट,रिलीज़,निर्देशक"
    text = f"{header}\ntt0000001,9,2024-02-01,एक,One,u,Movie,8.3,90,1999,A,1,1999-01-01,M\n"
    text += "tt0000002,7,2024-02-01,दो,Two,u,TV Series,8.3,90,2001,A,1,2001-01-01,M\n"
    assert rated(text) == ({"एक (1999)": (9, at("2024-02-01"))}, {"दो (2001)": "no_film"})


@pytest.mark.parametrize(
    "date_column", ["Bewertungsdatum", "Date de la note", "Data valutazione", "Data oceny", "Дата оцінки"]
)
def test_the_date_of_a_rating_is_known_by_its_name_in_other_languages(date_column):
    assert rated(f"Title,Year,Your Rating,{date_column}\nOne,1999,8,2024-02-01\n")[0] == {
        "One (1999)": (8, at("2024-02-01"))
    }


@pytest.mark.parametrize(
    "text",
    [
        "Tytuł;Tytuł oryginalny;Rok;Moja ocena\nPierwszy;One;1999;8\n",
        "Назва;Оригінальна назва;Рік;Моя оцінка\nПерший;One;1999;8\n",
        "nameRu,nameEn,year,userRating\nПервый,One,1999,8\n",
    ],
)
def test_a_table_of_a_neighbours_language_or_program_is_read(text):
    (row,) = read(text.encode(), NOW).rows
    assert (row.original_title, row.year, row.value) == ("One", 1999, 8)


def test_everybodys_mean_is_no_rating_of_the_person_who_has_given_none():
    text = "Title,Year,Rating,My Rating\nOne,1999,8,\nTwo,2001,7.1,9\n"
    assert rated(text) == ({"Two (2001)": (9, None)}, {"One (1999)": "unrated"})


def test_a_slip_above_ten_does_not_make_the_other_rating_one_of_a_hundred():
    assert rated("Title,Year,Score\nOne,1999,9\nTwo,2001,11\n") == (
        {"One (1999)": (9, None)}, {"Two (2001)": "odd_rating"},
    )  # fmt: skip


@pytest.mark.parametrize("text", ["8 из 10", "4 из 5", "8 out of 10", "8/10"])
def test_a_rating_says_in_words_what_it_is_out_of(text):
    assert rated(f"Title,Year,Rating\nOne,1999,{text}\n")[0] == {"One (1999)": (8, None)}


def test_a_year_in_square_brackets_is_the_films():
    assert rated("Title,Your Rating\nOne [1999],8\nOne 1999,7\n")[0] == {
        "One (1999)": (8, None), "One 1999": (7, None),
    }  # fmt: skip


@pytest.mark.parametrize(
    "header", ["Const,Your Rating,Title,Title Type,Year", '"Const,Your Rating,Title,Title Type,Year"']
)
def test_lines_that_excel_has_kept_in_one_cell_are_read(header):
    text = f'{header}\n"tt0000001,9,""One, Two"",Movie,1999"\ntt0000002,8,Three,Movie,2001\n'
    assert rated(text)[0] == {"One, Two (1999)": (9, None), "Three (2001)": (8, None)}


def test_json_with_one_film_in_each_line_is_read():
    lines = [json.dumps(FILM | {"rating": 8}), json.dumps(FILM | {"title": "Two", "rating": 9})]
    assert rated("\n".join(lines))[0] == {"One (1999)": (8, None), "Two (1999)": (9, None)}


def test_four_bytes_a_letter_are_an_encoding_too():
    assert rated("Название;Год;Моя оценка\nПервый;1999;8\n".encode("utf-32"))[0] == {"Первый (1999)": (8, None)}


@pytest.mark.parametrize(
    "text",
    [
        "2020-4-3",
        "2020年4月3日",
        "Friday, April 3, 2020",
        "3 kwietnia 2020",
        "3 квітня 2020",
        "2020.04.03",
        "03-Apr-2020",
        "3-апр-20",
        "3rd April 2020",
        "April 3rd, 2020",
        "03.04.2020 в 00:00",
    ],
)
def test_a_date_is_read_as_spreadsheets_and_people_write_it(text):
    assert dates.parse_date(text, NOW).at == at("2020-04-03")


def test_a_sheet_may_have_a_heading_and_an_empty_line_above_its_table():
    openpyxl = pytest.importorskip("openpyxl")
    book, content = openpyxl.Workbook(), io.BytesIO()
    for line in (["My films"], [], ["Название", "Год", "Моя оценка"], ["Первый", 1999, 8.5]):
        book.active.append(line)
    book.save(content)
    assert rated(content.getvalue())[0] == {"Первый (1999)": (Decimal("8.5"), None)}


TRAKT_COLUMNS = "type,title,year,trakt_rating,trakt_id,imdb_id,tmdb_id\n{},movie,One,1999,8.4,1,tt0000001,11\n"


@pytest.mark.parametrize(
    ("text", "name", "purpose"),
    [
        ("title,year,tmdbId,imdbId,watchedAt,comment\nOne,1999,11,tt0000001,2024-02-01,\n", "", Purpose.SEEN),
        ("title,year,tmdbId,imdbId,addedAt\nOne,1999,11,tt0000001,2024-02-01\n", "", Purpose.WANTED),
        ("watched_at," + TRAKT_COLUMNS.format("2024-02-01"), "", Purpose.SEEN),
        ("entity_type,movie_name,release_date,type,created_at,imdb_id\n"
         "movie,One,1999-03-31 00:00:00,towatch,2024-02-01 00:00:00,tt0000001\n", "", Purpose.WANTED),
        ("listed_at," + TRAKT_COLUMNS.format("2024-02-01"), "watchlist.csv", Purpose.WANTED),
        ("TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,Date Rated\n"
         "11,tt0000001,movie,One,1999-03-31T00:00:00Z,,,8.4,,2024-02-01T00:00:00Z\n", "watchlist.csv", Purpose.WANTED),
        ("位置,Const,作成,変更,説明,タイトル,URL,種類,IMDbレーティング,時間,年,ジャンル,票,リリース日,監督,評価,評価日\n"
         "1,tt0000001,2024-02-01,2024-02-01,,One,u,映画,8,9,1999,x,1,,L,,\n", "watchlist.csv", Purpose.WANTED),
    ],
    ids=["movary's history", "movary", "trakt's history", "tv time", "trakt", "tmdb", "imdb in japanese"],
)  # fmt: skip
def test_a_list_without_ratings_is_of_films_seen_or_to_see(text, name, purpose):
    (row,) = read(text.encode(), NOW, name=name).rows
    assert (row.name, row.purpose, row.imdb_id, row.at) == ("One (1999)", purpose, "tt0000001", at("2024-02-01"))


def test_stars_are_counted_however_they_are_drawn():
    assert [parse_points(text, Scale.TEN) for text in ("★★★½", "⭐⭐⭐")] == [
        (Decimal("3.5"), Scale.FIVE), (3, Scale.FIVE),
    ]  # fmt: skip
