"""Finding the movie of each row of a file. Nothing is guessed: what is not certain is left to the user.

In this order: IMDb's id, TMDb's id, title and year. An id counts where the title of its movie is the row's, or its year
while no other movie or series has the row's title: programs that convert files write ids of series for those of movies.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from django.conf import settings
from django.db import connections

from config.jobs.time_limit import seconds_left, time_limit
from movies.catalogue import fetch_movie
from movies.models import Movie, PosterPriority
from movies.parsing import MAX_MOVIE_ID, MalformedAnswer, parse_details, parse_movie
from movies.saving import save_movies
from movies.tmdb import BadRequest, NotFound, TMDb, Unavailable
from ratings.files.titles import all_titles, fold, folded_titles, known_titles, reordered, titles_of

if TYPE_CHECKING:
    from ratings.files.rows import Row

THREADS = 8  # of the 20 connections that TMDb takes from one address
FAILURES_TO_PROBE = 4  # after which TMDb is asked whether it is there at all
MAX_CANDIDATES = 4  # from which the user chooses
MAX_RETITLED = 3  # movies whose further titles are asked for

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class Match(NamedTuple):
    """What a row was found to be: a movie, or (None) those from which the user is to choose, if any."""

    movie_id: int | None = None
    candidates: tuple[int, ...] = ()


class TitleKey(NamedTuple):
    title: str
    original_title: str
    year: int | None


class Found(NamedTuple):
    """Movies at TMDb for a title and year: those that fit, and others that its search names."""

    fitting: list[Movie]
    others: list[Movie]


class Matcher:
    """Finds the movies of many rows; it caches, so one serves for a whole file.

    `given_up`: after failed attempts it skips the movies that TMDb fails at, however many.
    """

    def __init__(self, given_up: bool = False) -> None:
        self.tmdb = TMDb()
        self.given_up = given_up
        self.by_year: dict[int, defaultdict[str, set[int]]] = {}  # {year: {folded title: movie ids}}
        self.unanswered: set[Hashable] = set()  # what TMDb failed at: ids and TitleKeys

    def match(self, rows: list[Row]) -> dict[int, Match]:
        """{id(row): Match} of the rows that may be rated.

        Marks as no_film those that TMDb knows for series, and as unanswered those that TMDb fails at although it
        answers otherwise. Raises Unavailable where it does not.
        """
        rows = [row for row in rows if not row.skip_reason]
        by_imdb, by_tmdb = self.by_imdb_id(rows), self.by_tmdb_id(rows)
        rows = [row for row in rows if not row.skip_reason]
        known = Movie.objects.in_bulk({*by_imdb.values(), *by_tmdb.values()})
        found: dict[int, Match] = {}
        dated: dict[int, tuple[Row, Movie]] = {}  # {id(row): and a movie of its id and year, with another title}
        disputed: dict[int, list[int]] = defaultdict(list)  # {id(row): movies of an id that the row's title is not}
        for ids, other_ids, apart in ((by_imdb, by_tmdb, 1), (by_tmdb, by_imdb, 0)):
            named = [(row, known[ids[id(row)]]) for row in rows if id(row) in ids and id(row) not in found]
            retitled = self.retitled({movie.pk for row, movie in named if not has_title(row, known_titles(movie))})
            for row, movie in named:
                titled = has_title(row, known_titles(movie) | retitled.get(movie.pk, set()))
                alone = other_ids.get(id(row), movie.pk) == movie.pk  # no other id of the row says otherwise
                if titled:
                    found[id(row)] = Match(movie.pk)
                elif alone and is_of_year(movie, row.year, apart):
                    dated.setdefault(id(row), (row, movie))
                else:
                    disputed[id(row)].append(movie.pk)
        taken = self.titles_taken([row for row, _movie in dated.values() if id(row) not in found])
        for row, movie in dated.values():
            if key_of(row) in taken:
                disputed[id(row)].append(movie.pk)
            else:
                found.setdefault(id(row), Match(movie.pk))
        self.by_title([row for row in rows if id(row) not in found], found, disputed)
        self.add_details({movie_id for match in found.values() for movie_id in match.candidates})
        for row in rows:
            failed = self.unanswered & {row.tmdb_id, row.imdb_id, key_of(row)}
            if failed and not (id(row) in found and found[id(row)].movie_id):
                row.skip_reason = "unanswered"
        return found

    # --- Ids: rows in, {id(row): movie id} out

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

    def by_tmdb_id(self, rows: list[Row]) -> dict[int, int]:
        """An id that TMDb has merged into another is that other's."""
        rows = [row for row in rows if row.tmdb_id and row.tmdb_id <= MAX_MOVIE_ID and not row.skip_reason]
        wanted = {row.tmdb_id or 0 for row in rows}
        known = {pk: pk for pk in Movie.objects.filter(pk__in=wanted).values_list("pk", flat=True)}
        fetched = self.ask(wanted - known.keys(), lambda movie_id: parse_details(self.tmdb.movie(movie_id)))
        self.save(fetched.values())
        known |= {movie_id: movie.pk for movie_id, movie in fetched.items()}
        return {id(row): known[row.tmdb_id] for row in rows if row.tmdb_id in known}

    # --- Titles

    def by_title(self, rows: list[Row], found: dict[int, Match], disputed: dict[int, list[int]]) -> None:
        """Put into `found` the Match of each row by its title; what disagrees with its id is for the user to decide."""
        wanted = {key_of(row): row for row in rows if titles_of(row)}
        answers = self.ask(wanted, lambda key: self.search(wanted[key]))
        self.save(movie for answer in answers.values() for movie in (*answer.fitting, *answer.others[:MAX_CANDIDATES]))
        for row in rows:
            answer = answers.get(key_of(row), Found([], []))
            fitting = {movie.pk: None for movie in answer.fitting} | dict.fromkeys(sorted(self.known_titles(row)))
            others = [movie.pk for movie in answer.others]
            if len(fitting) == 1 and row.year and not disputed[id(row)]:
                found[id(row)] = Match(next(iter(fitting)))
            else:
                candidates = dict.fromkeys([*fitting, *disputed[id(row)], *others])
                found[id(row)] = Match(None, tuple(candidates)[:MAX_CANDIDATES])

    def add_details(self, movie_ids: set[int]) -> None:
        """Have the directors of these movies known, by which the user is to tell them apart."""
        bare = Movie.objects.filter(pk__in=movie_ids, details_at=None).values_list("pk", flat=True)
        self.save(self.ask(set(bare), lambda movie_id: fetch_movie(movie_id, self.tmdb)).values())

    def known_titles(self, row: Row) -> set[int]:
        """The movies of a row's title and year that the table holds."""
        if row.year is None:
            return set()
        if row.year not in self.by_year:
            movies = self.by_year[row.year] = defaultdict(set)
            columns = ("pk", "search_text", "title", "original_title")
            for movie_id, *texts in Movie.objects.filter(year=row.year).values_list(*columns).iterator():
                for title in folded_titles(*texts):
                    movies[title].add(movie_id)
        return set[int]().union(*(self.by_year[row.year].get(title, ()) for title in titles_of(row)))

    def search(self, row: Row) -> Found:
        """TMDb's movies for a row's title: of that year; else the only one within a year; else by a further title."""
        wanted, listed = titles_of(row), dict[int, Movie]()
        for year in dict.fromkeys([row.year, None]):
            named: dict[int, Movie] = {}
            for query, language in queries(row) if year else queries(row)[::2]:
                for movie in movies_of(self.tmdb.search(query, year, language=language).get("results")):
                    listed.setdefault(movie.pk, movie)
                    if wanted & known_titles(movie):
                        named.setdefault(movie.pk, movie)
                if any(is_of_year(movie, row.year, 0) for movie in named.values()):
                    break
            for apart in (0, 1) if year is None else (0,):
                if fitting := [movie for movie in named.values() if is_of_year(movie, row.year, apart)]:
                    return Found(fitting, others(listed, fitting))
        near = [movie for movie in listed.values() if is_of_year(movie, row.year, 1)][:MAX_RETITLED]
        fitting = [movie for movie in near if wanted & all_titles(self.tmdb.titles(movie.pk))]
        fitting = fitting or [movie for movie in listed.values() if row.year is None and wanted & known_titles(movie)]
        return Found(fitting, others(listed, fitting))

    def titles_taken(self, rows: list[Row]) -> set[TitleKey]:
        """The titles of these rows that another movie or a series of the row's year has."""
        wanted = {key_of(row): row for row in rows if titles_of(row)}
        answers = self.ask(wanted, lambda key: self.is_taken(wanted[key]))
        return {key for key in wanted if answers.get(key)}

    def is_taken(self, row: Row) -> bool:
        if any(is_of_year(movie, row.year, 0) for movie in self.search(row).fitting):
            return True
        found = [self.tmdb.search_series(title).get("results") for title in (row.title, row.original_title) if title]
        return any(is_series(one, row) for results in found if isinstance(results, list) for one in results)

    def retitled(self, movie_ids: Collection[int]) -> dict[int, set[str]]:
        """{movie id: its folded titles in every country}"""
        return {pk: all_titles(answer) for pk, answer in self.ask(set(movie_ids), self.tmdb.titles).items()}

    # --- TMDb

    def ask(self, keys: Iterable[Key], call: Callable[[Key], Result]) -> dict[Key, Result]:
        """{key: result} of a call to TMDb for each key, made concurrently; without those it does not know."""
        keys = [key for key in keys if key not in self.unanswered]
        failed: list[Key] = []
        left = seconds_left()

        def answer(key: Key) -> Result | None:
            try:
                with time_limit(left):
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


def has_title(row: Row, titles: set[str]) -> bool:
    """Whether one of the titles is the row's; a row with neither title nor year takes any."""
    own = titles_of(row)
    return bool(own & titles) or not (own or row.year)


def is_of_year(movie: Movie, year: int | None, apart: int) -> bool:
    """Whether a movie came out within so many years of a year; where a row has none, no movie did."""
    return bool(year and movie.release_date and abs(movie.release_date.year - year) <= apart)


def is_series(result: object, row: Row) -> bool:
    """Whether a series from a list of TMDb's, which is not verified, has the title and the year of a row."""
    if not isinstance(result, dict):
        return False
    names = {fold(str(result.get(key) or "")) for key in ("name", "original_name")}
    return bool(names & titles_of(row)) and str(result.get("first_air_date"))[:4] == str(row.year)


def queries(row: Row) -> list[tuple[str, str]]:
    """(title, language) to search for, the most telling first: a title in Latin letters in the fallback language."""
    own, fallback = settings.TMDB_LANGUAGE, settings.TMDB_FALLBACK_LANGUAGE
    found = []
    for title in filter(None, (reordered(row.title), reordered(row.original_title))):
        is_latin = not re.search(r"[^\W\d_a-zA-ZÀ-ɏ]", title)
        found += [(title, language) for language in ((fallback, own) if is_latin else (own, fallback))]
    return list(dict.fromkeys(found))


def others(listed: dict[int, Movie], fitting: list[Movie]) -> list[Movie]:
    taken = {movie.pk for movie in fitting}
    return [movie for pk, movie in listed.items() if pk not in taken][:MAX_CANDIDATES]


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
