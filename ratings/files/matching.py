"""Finding the movie of each row of a file. Nothing is guessed: by its id, or as the only one of its name.

In this order: TMDb's id, IMDb's id, title and year among the movies we know, title and year at TMDb.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from django.conf import settings
from django.db import connections

from movies.catalogue import fetch_movie
from movies.models import Movie, PosterPriority, normalize_title
from movies.parsing import MAX_MOVIE_ID, MalformedAnswer, parse_movie
from movies.saving import save_movies
from movies.tmdb import BadRequest, NotFound, TMDb, Unavailable

if TYPE_CHECKING:
    from ratings.files.parser import Row

THREADS = 8  # of the 20 connections that TMDb takes from one address
FAILURES_TO_PROBE = 4  # after which TMDb is asked whether it is there at all

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class TitleKey(NamedTuple):
    title: str
    original_title: str
    year: int | None


class Matcher:
    """Finds the movies of many rows; it caches, so one serves for a whole file.

    `given_up`: after failed attempts it skips the movies that TMDb fails at, however many.
    """

    def __init__(self, given_up: bool = False) -> None:
        self.tmdb = TMDb()
        self.given_up = given_up
        self.by_year: dict[int, defaultdict[str, set[int]]] = {}  # {year: {normalized title: movie ids}}
        self.unanswered: set[Hashable] = set()  # what TMDb failed at: ids and TitleKeys

    def match(self, rows: list[Row]) -> dict[int, int]:
        """{id(row): movie id} of the rows whose movie is certain.

        Marks as no_film those that TMDb knows for series, and as unanswered those that TMDb fails at although it
        answers otherwise. Raises Unavailable where it does not.
        """
        rows = [row for row in rows if not row.skip_reason]
        found: dict[int, int] = {}
        for step in (self.by_tmdb_id, self.by_imdb_id, self.by_known_title, self.by_title):
            found.update(step([row for row in rows if id(row) not in found and not row.skip_reason]))
        for row in rows:
            failed = self.unanswered & {row.tmdb_id, row.imdb_id, key_of(row)}
            if id(row) not in found and not row.skip_reason and failed:
                row.skip_reason = "unanswered"
        return found

    # --- The steps: rows in, {id(row): movie id} out

    def by_tmdb_id(self, rows: list[Row]) -> dict[int, int]:
        wanted = {row.tmdb_id for row in rows if row.tmdb_id and row.tmdb_id <= MAX_MOVIE_ID}
        known = set(Movie.objects.filter(pk__in=wanted).values_list("pk", flat=True))
        fetched = self.ask(wanted - known, lambda movie_id: fetch_movie(movie_id, self.tmdb))
        self.save(fetched.values())
        known |= fetched.keys()
        return {id(row): row.tmdb_id for row in rows if row.tmdb_id in known}

    def by_imdb_id(self, rows: list[Row]) -> dict[int, int]:
        wanted = {row.imdb_id for row in rows if row.imdb_id}
        known = dict(Movie.objects.filter(imdb_id__in=wanted).values_list("imdb_id", "pk"))
        answers = self.ask(wanted - known.keys(), self.tmdb.find)
        movies = {imdb_id: only_movie(answer.get("movie_results")) for imdb_id, answer in answers.items()}
        self.save(movie for movie in movies.values() if movie)
        for imdb_id, movie in movies.items():
            if movie:
                known[imdb_id] = movie.pk
                Movie.objects.filter(pk=movie.pk, imdb_id="").update(imdb_id=imdb_id)
        for row in rows:
            answer = answers.get(row.imdb_id)
            if answer and not movies[row.imdb_id] and (answer.get("tv_results") or answer.get("tv_episode_results")):
                row.skip_reason = "no_film"
        return {id(row): known[row.imdb_id] for row in rows if row.imdb_id in known}

    def by_known_title(self, rows: list[Row]) -> dict[int, int]:
        found = {}
        for row in rows:
            if row.year is None:
                continue
            known = self.known_titles(row.year)
            named = set[int]().union(*(known.get(title, ()) for title in titles_of(row)))
            if len(named) == 1:
                found[id(row)] = named.pop()
        return found

    def by_title(self, rows: list[Row]) -> dict[int, int]:
        wanted = {key_of(row): row for row in rows if row.year and titles_of(row)}
        answers = self.ask(wanted, lambda key: self.search(wanted[key]))
        self.save(movie for movies in answers.values() for movie in movies)
        only = {key: movies[0].pk for key, movies in answers.items() if len(movies) == 1}
        return {id(row): only[key_of(row)] for row in rows if key_of(row) in only}

    # --- Titles

    def known_titles(self, year: int) -> defaultdict[str, set[int]]:
        """{normalized title: ids} of the movies of a year that the table holds."""
        if year not in self.by_year:
            movies = self.by_year[year] = defaultdict(set)
            for movie_id, text in Movie.objects.filter(year=year).values_list("pk", "search_text").iterator():
                for title in text.split("|"):
                    movies[title].add(movie_id)
        return self.by_year[year]

    def search(self, row: Row) -> list[Movie]:
        """The movies that TMDb finds for a row's title and year and that have just that title, in either language."""
        found: dict[int, Movie] = {}
        wanted = titles_of(row)
        for language in dict.fromkeys([settings.TMDB_LANGUAGE, settings.TMDB_FALLBACK_LANGUAGE]):
            results = self.tmdb.search(row.title or row.original_title, row.year, language=language).get("results")
            for movie in movies_of(results):
                year = movie.release_date and movie.release_date.year
                if year == row.year and wanted & set(movie.search_text.split("|")):
                    found.setdefault(movie.pk, movie)
        return list(found.values())

    # --- TMDb

    def ask(self, keys: Iterable[Key], call: Callable[[Key], Result]) -> dict[Key, Result]:
        """{key: result} of a call to TMDb for each key, made concurrently; without those it does not know."""
        keys = [key for key in keys if key not in self.unanswered]
        failed: list[Key] = []

        def answer(key: Key) -> Result | None:
            try:
                return call(key) if self.given_up or len(failed) < FAILURES_TO_PROBE else None
            except (NotFound, BadRequest, MalformedAnswer):
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
            self.tmdb.check_key()  # raises Unavailable: it is not the movie's fault
            if len(failed) >= FAILURES_TO_PROBE and not self.given_up:
                raise Unavailable("TMDb fails at one movie after another")
            self.unanswered.update(failed)
        return {key: result for key, result in answers.items() if result is not None}

    def save(self, found: Iterable[Movie]) -> None:
        movies = list(found)
        if movies:
            save_movies(movies, PosterPriority.IMPORT)
        for movie in movies:
            if movie.release_date:
                self.by_year.pop(movie.release_date.year, None)


def titles_of(row: Row) -> set[str]:
    return {normalized for title in (row.title, row.original_title) if (normalized := normalize_title(title))}


def key_of(row: Row) -> TitleKey:
    return TitleKey(row.title, row.original_title, row.year)


def movies_of(results: object) -> list[Movie]:
    """Unsaved movies from a list of TMDb's, which is not verified; what is no movie is left out."""
    movies = []
    for result in results if isinstance(results, list) else []:
        try:
            movies.append(parse_movie(result))
        except MalformedAnswer:
            continue
    return movies


def only_movie(results: object) -> Movie | None:
    movies = movies_of(results)
    return movies[0] if len(movies) == 1 else None
