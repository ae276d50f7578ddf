"""Which film a row of a file means. Nothing is guessed: it is found by its id, or as the only one of its name.

In this order: TMDb's id, IMDb's id, title and year among the films we know, title and year at TMDb.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections

from movies.catalogue import LARGEST_ID, Malformed, fetch_movie, movie_from, save_movies
from movies.models import Movie, PosterNeed, searchable
from movies.tmdb import NotFound, Refused, TMDb, Unavailable

if TYPE_CHECKING:
    from ratings.files.parser import Row

THREADS = 8  # of the 20 connections that TMDb takes from one address
SILENCE = 4  # failures after which TMDb is asked whether it is there at all


class Matcher:
    """Finds the films of many rows; it remembers, so one serves for a whole file.

    A `resigned` one has come here before in vain: it goes on without the films that TMDb fails at, however many.
    """

    def __init__(self, resigned: bool = False) -> None:
        self.tmdb = TMDb()
        self.resigned = resigned
        self.by_year = {}  # year: {folded title: set of film ids}
        self.unanswered = set()  # what TMDb would not tell about: ids, titles with years

    def match(self, rows: list[Row]) -> dict[int, int]:
        """The ids of the rows' films, in their order; None where there is none to be sure of.

        Marks as no films those that TMDb knows for series, and as unanswered those that TMDb fails at although it is
        there. Raises Unavailable where it is not.
        """
        rows = [row for row in rows if not row.flaw]
        found = {}
        for step in (self.by_tmdb_id, self.by_imdb_id, self.by_known_title, self.by_title):
            left = [row for row in rows if id(row) not in found and not row.flaw]
            found.update(step(left))
        for row in rows:
            if id(row) not in found and not row.flaw and self.unanswered & {row.tmdb_id, row.imdb_id, key_of(row)}:
                row.flaw = "unanswered"
        return found

    # --- The steps: rows in, {id(row): film id} out

    def by_tmdb_id(self, rows: list[Any | Row]) -> dict[int, int]:
        wanted = {row.tmdb_id for row in rows if row.tmdb_id and row.tmdb_id <= LARGEST_ID}
        known = set(Movie.objects.filter(pk__in=wanted).values_list("pk", flat=True))
        fetched = self.ask(wanted - known, lambda film: fetch_movie(film, self.tmdb))
        self.keep(fetched.values())
        return {id(row): row.tmdb_id for row in rows if row.tmdb_id in known or row.tmdb_id in fetched}

    def by_imdb_id(self, rows: list[Any | Row]) -> dict[int, int]:
        wanted = {row.imdb_id for row in rows if row.imdb_id}
        known = dict(Movie.objects.filter(imdb_id__in=wanted).values_list("imdb_id", "pk"))
        answers = self.ask(wanted - known.keys(), self.tmdb.find)
        movies = {imdb_id: only_film(answer.get("movie_results")) for imdb_id, answer in answers.items()}
        self.keep(movie for movie in movies.values() if movie)
        for imdb_id, movie in movies.items():
            if movie:
                known[imdb_id] = movie.pk
                Movie.objects.filter(pk=movie.pk, imdb_id="").update(imdb_id=imdb_id)
        for row in rows:
            answer = answers.get(row.imdb_id)
            if answer and not movies[row.imdb_id] and (answer.get("tv_results") or answer.get("tv_episode_results")):
                row.flaw = "no_film"
        return {id(row): known[row.imdb_id] for row in rows if row.imdb_id in known}

    def by_known_title(self, rows: list[Any | Row]) -> dict[Any, Any]:
        found = {}
        for row in rows:
            films = self.known_titles(row.year)
            named = set().union(*(films.get(title, ()) for title in titles_of(row)))
            if len(named) == 1:
                found[id(row)] = named.pop()
        return found

    def by_title(self, rows: list[Any | Row]) -> dict[Any, Any]:
        wanted = {key_of(row): row for row in rows if row.year and titles_of(row)}
        answers = self.ask(wanted, lambda key: self.search(wanted[key]))
        self.keep(movie for movies in answers.values() for movie in movies)
        only = {key: movies[0].pk for key, movies in answers.items() if len(movies) == 1}
        return {id(row): only[key_of(row)] for row in rows if key_of(row) in only}

    # --- Titles

    def known_titles(self, year: int) -> defaultdict[Any, Any]:
        """{folded title: ids} of the films of a year that the table holds."""
        if year is None:
            return {}
        if year not in self.by_year:
            films = self.by_year[year] = defaultdict(set)
            for film, text in Movie.objects.filter(year=year).values_list("pk", "search_text").iterator():
                for title in text.split("|"):
                    films[title].add(film)
        return self.by_year[year]

    def search(self, row):
        """The films that TMDb finds for a row's title and year and that are called just so, in either language."""
        found = {}
        wanted = titles_of(row)
        for language in dict.fromkeys([settings.TMDB_LANGUAGE, settings.TMDB_FALLBACK_LANGUAGE]):
            rows = self.tmdb.search(row.title or row.original_title, row.year, language=language).get("results")
            for movie in films_of(rows):
                year = movie.release_date and movie.release_date.year
                if year == row.year and wanted & set(movie.search_text.split("|")):
                    found.setdefault(movie.pk, movie)
        return list(found.values())

    # --- TMDb

    def ask(
        self, keys: set[str] | set[int] | dict[tuple[str, str, int], Row], question: Callable
    ) -> dict[
        str,
        dict[str, list[dict[str, int | str | float | bool | list[dict[str, str | int]]] | Any]]
        | dict[str, str | bool]
        | dict[str, int | str | float | bool | list[dict[str, str | int]]]
        | dict[str, int | bool | str],
    ]:
        """{key: answer} of a question to TMDb about each key, side by side; without those it knows nothing of."""
        keys = [key for key in keys if key not in self.unanswered]
        failed = []

        def answer(key):
            try:
                return question(key) if self.resigned or len(failed) < SILENCE else None
            except (NotFound, Refused, Malformed):
                return None
            except Unavailable:
                failed.append(key)
                return None
            finally:
                connections.close_all()

        if not keys:
            return {}
        with ThreadPoolExecutor(THREADS) as threads:
            answers = dict(zip(keys, threads.map(answer, keys), strict=True))
        if failed:
            self.tmdb.check_key()  # raises Unavailable: it is not the film's fault
            if len(failed) >= SILENCE and not self.resigned:
                raise Unavailable("TMDb fails at one film after another")
            self.unanswered.update(failed)
        return {key: value for key, value in answers.items() if value is not None}

    def keep(self, movies: Iterator[Any]) -> None:
        movies = list(movies)
        if movies:
            save_movies(movies, PosterNeed.IMPORT)
            for movie in movies:
                self.by_year.pop(movie.release_date and movie.release_date.year, None)


def titles_of(row: Row) -> set[str]:
    return {folded for title in (row.title, row.original_title) if (folded := searchable(title))}


def key_of(row: Row) -> tuple[str, str, int]:
    return (row.title, row.original_title, row.year)


def films_of(
    results: list[dict[str, int | str | float | bool | list[dict[str, str | int]]]] | None,
) -> list[Any | Movie]:
    """Unsaved films from a list of TMDb's, without what is none."""
    films = []
    for result in results if isinstance(results, list) else []:
        try:
            films.append(movie_from(result))
        except Malformed:
            continue
    return films


def only_film(results: list[dict[str, int | str | float | bool | list[dict[str, str | int]]]] | None) -> Movie | None:
    films = films_of(results)
    return films[0] if len(films) == 1 else None
