"""Files to send with one click, as other services export them; between them films of one name and one nobody knows."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import NamedTuple


class Seen(NamedTuple):
    """A film that somebody has rated, half points from 1 to 10."""

    imdb_id: str
    title: str
    title_ru: str
    year: int
    rating: float


FILMS = (
    Seen("tt1160419", "Dune", "Дюна", 2021, 9),
    Seen("tt6751668", "Parasite", "Паразиты", 2019, 10),
    Seen("tt5052448", "Get Out", "Прочь", 2017, 8),
    Seen("tt1517268", "Barbie", "Барби", 2023, 6),
    Seen("tt15398776", "Oppenheimer", "Оппенгеймер", 2023, 9),
    Seen("tt4633694", "Spider-Man: Into the Spider-Verse", "Человек-паук: Через вселенные", 2018, 9),
    Seen("tt13238346", "Past Lives", "Прошлые жизни", 2023, 8),
    Seen("tt7286456", "Joker", "Джокер", 2019, 7),
)
SERIES = Seen("tt7366338", "Chernobyl", "Чернобыль", 2019, 10)
UNKNOWN = Seen("tt9999999", "A Film Nobody Made", "Фильм, которого нет", 2020, 5)


def letterboxd() -> bytes:
    """A zip, stars from 0.5 to 5."""
    rated = "".join(f"2024-05-{n:02},{film.title},{film.year},https://boxd.it/{n},{film.rating / 2:g}\n"
                    for n, film in enumerate(FILMS, 1))  # fmt: skip
    wanted = "2024-06-01,Anora,2024,https://boxd.it/a\n2024-06-02,Suspiria,2018,https://boxd.it/b\n"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("ratings.csv", "Date,Name,Year,Letterboxd URI,Rating\n" + rated)
        archive.writestr("watchlist.csv", "Date,Name,Year,Letterboxd URI\n" + wanted)
    return content.getvalue()


def imdb() -> bytes:
    """A CSV with a series and an id that TMDb does not know."""
    head = "Const,Your Rating,Date Rated,Title,URL,Title Type,IMDb Rating,Runtime (mins),Year\n"
    rows = [f'{film.imdb_id},{film.rating:g},2023-10-11,"{film.title}",,Movie,8.0,120,{film.year}\n'
            for film in (*FILMS, UNKNOWN)]  # fmt: skip
    rows.append(f'{SERIES.imdb_id},{SERIES.rating:g},2023-10-12,"{SERIES.title}",,TV Series,9.3,330,{SERIES.year}\n')
    return (head + "".join(rows)).encode()


def kinopoisk() -> bytes:
    """The table that Kinopoisk calls .xls: a page in Windows' Cyrillic, without ids."""
    names = ("Русскоязычное название", "Оригинальное название", "Год", "Моя оценка", "Дата и время")
    rows = "".join(
        f"<tr><td>{film.title_ru}</td><td>{film.title}</td><td>{film.year}</td><td>{film.rating:g}</td>"
        "<td>10:53:27 11.04.2024</td></tr>"
        for film in FILMS
    )
    head = "".join(f"<td><i>{name}</i></td>" for name in names)
    page = (
        '<html><head><meta http-equiv="content-type" content="text/html; charset=windows-1251"></head>'
        f"<body><table><tr>{head}</tr>{rows}</table></body></html>"
    )
    return page.encode("cp1251")


def trakt() -> bytes:
    """JSON, as Trakt's backup has it."""
    rows = [
        {
            "rated_at": f"2024-03-{n:02}T20:00:00.000Z",
            "rating": int(film.rating),
            "type": "movie",
            "movie": {"title": film.title, "year": film.year, "ids": {"imdb": film.imdb_id}},
        }
        for n, film in enumerate(FILMS, 1)
    ]
    return json.dumps(rows).encode()


def table() -> bytes:
    """A list of one's own, in Russian, with a title that two films have."""
    rows = "".join(f"{film.title_ru};{film.rating:g}\n" for film in FILMS if film.title_ru != "Дюна")
    return ("Фильм;Оценка\nДюна;9\n" + rows).encode()


SAMPLES: dict[str, Callable[[], bytes]] = {
    "letterboxd-export.zip": letterboxd,
    "imdb-ratings.csv": imdb,
    "kinopoisk-votes.xls": kinopoisk,
    "trakt-ratings.json": trakt,
    "мои-фильмы.csv": table,
}
