"""Films for everybody else: from the table, else from TMDb, and how an answer of TMDb's becomes a row."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Case, IntegerField, Q, Value, When
from django.utils.module_loading import import_string

from config.bot.validation import cleaned
from movies.compiled import CompiledQuery
from movies.models import FROM_THE_START, Movie, PosterNeed, PosterStatus, searchable
from movies.search import candidates, holding, titled
from movies.tmdb import NotFound, TMDb, TMDbError, Unavailable

if TYPE_CHECKING:
    from django.db.models.query_utils import Q

    from movies.models import MovieQuerySet

log = logging.getLogger(__name__)

LARGEST_ID = 2**31 - 1  # PostgreSQL's integer
LONGEST_TEXT = 10_000  # characters of a title or overview that are kept

# What a list row (rated, search) tells of a film; details tell the runtime besides.
LIST_FIELDS = [
    "title",
    "original_title",
    "overview",
    "release_date",
    "popularity",
    "vote_average",
    "vote_count",
    "search_text",
]
DETAIL_FIELDS = [*LIST_FIELDS, "runtime", "imdb_id", "details_at"]


class Malformed(Unavailable):
    """TMDb answered with something that is no film."""


# --- From an answer to a row


def movie_from(reply: dict[str, Any], details: bool = False) -> Movie:
    """An unsaved Movie from TMDb's details or list row; the one place where TMDb's quirks are put right.

    An empty `release_date`, a null `poster_path`, a runtime of 0 or null all mean unknown. Raises Malformed.
    """
    if not isinstance(reply, dict) or not _whole(reply.get("id"), 1, LARGEST_ID):
        raise Malformed("a film without an id")
    title, original = _text(reply.get("title")), _text(reply.get("original_title"))
    if not title and not original:
        raise Malformed(f"film {reply['id']}: no title")
    poster_path = _text(reply.get("poster_path"))
    return Movie(
        id=reply["id"],
        title=title or original,
        original_title=original or title,
        overview=_text(reply.get("overview")),
        release_date=_date(reply.get("release_date")),
        runtime=reply["runtime"] if _whole(reply.get("runtime"), 1, 100_000) else None,
        imdb_id=_imdb_id(reply.get("imdb_id")),
        popularity=_number(reply.get("popularity"), 1e9),
        vote_average=_number(reply.get("vote_average"), 10),
        vote_count=reply["vote_count"] if _whole(reply.get("vote_count"), 0, LARGEST_ID) else 0,
        poster_path=poster_path,
        poster_status=PosterStatus.WAITING if poster_path else PosterStatus.NONE,
        poster_next_try_at=int(time.time()),
        details_at=int(time.time()) if details else None,
        search_text=searchable(title, original),
    )


def _text(value: str | None) -> str:
    """PostgreSQL takes no NUL in a text, no database half a surrogate pair, and a title of a megabyte is no title."""
    return cleaned(value).strip()[:LONGEST_TEXT] if isinstance(value, str) else ""


def _imdb_id(value: str | None) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"tt\d{5,12}", value, re.ASCII) else ""


def _whole(value: str | int | None, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: float | None, most: float | int) -> float:
    valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most
    return float(value) if valid else 0.0


def _date(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def fetch_movie(movie_id: int, tmdb: TMDb) -> Movie:
    """An unsaved Movie with details from TMDb, asked for in TMDB_LANGUAGE.

    Where the translation is missing (the title is the original one, the overview is empty) TMDb is asked once more, in
    TMDB_FALLBACK_LANGUAGE, for what is missing. Raises TMDbError.
    """
    reply = tmdb.movie(movie_id)
    movie = movie_from(reply, details=True)
    if movie.id != int(movie_id):
        raise Malformed(f"/movie/{movie_id}: answered with another film")
    if needs_fallback(movie):
        try:
            spare = movie_from(tmdb.movie(movie_id, settings.TMDB_FALLBACK_LANGUAGE), details=True)
        except Unavailable:
            if tmdb.patient:
                raise
            movie.details_at = None  # better an untranslated film now than none; a worker reads it again
            return movie
        own = reply.get("original_language") == settings.TMDB_LANGUAGE.split("-")[0]
        fill_gaps(movie, spare, retitle=not own)
    return movie


def needs_fallback(movie: Movie) -> bool:
    return movie.title == movie.original_title and not movie.overview


def fill_gaps(movie: Movie, spare: Movie, retitle: bool) -> None:
    """Fill what the first language left empty from the film in the fallback language.

    `retitle`: the title is one in a foreign language, so it counts as empty, too.
    """
    if retitle:
        movie.title = spare.title
    for field in ("overview", "release_date", "runtime"):
        if not getattr(movie, field):
            setattr(movie, field, getattr(spare, field))
    if not movie.poster_path and spare.poster_path:
        movie.poster_path, movie.poster_status = spare.poster_path, PosterStatus.WAITING
    movie.search_text = searchable(movie.title, movie.original_title, spare.title)


def save_movies(movies: list[Any | Movie], need: PosterNeed = PosterNeed.SOMEDAY) -> None:
    """Insert or update films read from TMDb, in one short transaction; their posters' states follow their paths.

    Films with details overwrite everything they carry. Films from list rows are only added: what the table already
    knows of a film, an import's rows never make poorer.
    """
    movies = list({movie.id: movie for movie in movies}.values())
    for movie in movies:
        movie.poster_need = need
    detailed = sorted((m for m in movies if m.details_at), key=lambda m: m.id)
    listed = sorted((m for m in movies if not m.details_at), key=lambda m: m.id)
    if listed:
        Movie.objects.bulk_create(listed, ignore_conflicts=True, batch_size=500)
    if detailed:
        paths = dict(Movie.objects.filter(id__in=[m.id for m in detailed]).values_list("id", "poster_path"))
        fresh = [m.poster_path for m in detailed]  # bulk_create reads what it did not write back into the films
        Movie.objects.bulk_create(
            detailed, update_conflicts=True, unique_fields=["id"], update_fields=DETAIL_FIELDS, batch_size=500
        )
        for movie, poster_path in zip(detailed, fresh, strict=True):
            if paths.get(movie.id, poster_path) != poster_path:
                movie.poster_path = poster_path
                change_poster(movie, need)


def change_poster(movie: Movie, need: PosterNeed = PosterNeed.SOMEDAY) -> None:
    """The film has another poster at TMDb, or none any more; the old file_id serves until the new one is in."""
    stale = Movie.objects.filter(pk=movie.pk).exclude(poster_path=movie.poster_path)
    if movie.poster_path:
        stale.update(**FROM_THE_START | {"poster_path": movie.poster_path, "poster_need": need})
    else:
        uploaded = Q(telegram_file_id__gt="")
        stale.exclude(uploaded).update(poster_path="", poster_status=PosterStatus.NONE, local_path="")
        stale.filter(uploaded).update(poster_path="", poster_status=PosterStatus.TELEGRAM, local_path="")


# --- Looking films up

ADDRESS = re.compile(r"(?:themoviedb\.org|tmdb\.org|/)/?(?:[a-z]{2}(?:-[a-z]{2})?/)?movie/(\d+)", re.IGNORECASE)
TITLE_AND_YEAR = re.compile(r"(?P<title>.*\S)[\s,]+\(?(?P<year>(?:18|19|20)\d\d)\)?")
LONGEST_QUERY = 200  # characters; TMDb's longest title has fewer
THIN = 5  # fewer films than this, none of them of just this title, and TMDb is asked
MOST = 50  # films of the table for one query
LEARNED = "ratings.recommendations.recommender.similar"  # upward by name: ids of the films that go with a film …
BESIDE, KEEP_BESIDE = (
    "ratings.recommendations.cold_start.beside",
    "ratings.recommendations.cold_start.keep",
)  # … and of those TMDb shows beside it
ASKED_FOR = 24 * 3600  # seconds for which TMDb is not asked the same again


class Ask(Enum):
    """When a search asks TMDb."""

    NEVER = "never"
    IF_NOTHING = "where the table knows no such film"
    IF_THIN = "where the table knows few such films, and none of just this title"
    ALWAYS = "whatever the table knows"


@dataclass(frozen=True)
class Query:
    """What a person typed to find a film."""

    movie_id: int | None = None
    title: str = ""
    year: int | None = None

    @classmethod
    def parse(cls, text: str) -> Query:
        """A TMDb id, an address of TMDb's, a title, or a title with a year."""
        text = " ".join(cleaned(text).split())
        if found := ADDRESS.search(text):
            return cls(movie_id=int(found[1][:20]))
        text = text[:LONGEST_QUERY]
        if re.fullmatch(r"[0-9]{1,10}", text):
            return cls(int(text), text)
        found = TITLE_AND_YEAR.fullmatch(text)
        if found and int(found["year"]) <= date.today().year + 10:  # Blade Runner 2049 is no film of 2049
            return cls(title=found["title"], year=int(found["year"]))
        return cls(title=text)

    @property
    def words(self) -> str:
        return searchable(self.title)

    def is_title_of(self, movie: Movie) -> bool:
        titles = movie.search_text.split("|")
        return self.words in titles or self.as_title().words in titles

    def as_title(self) -> Query:
        """The same with the year as a part of the title: Wonder Woman 1984."""
        return Query(title=f"{self.title} {self.year}") if self.year else self


@dataclass(frozen=True)
class Found:
    """Films for a query, best first; `hidden`: TMDb has not been asked, and may know more."""

    movies: list
    hidden: bool = False


def get_movie(movie_id: int, viewer: int | None = None) -> Movie:
    """The film with this TMDb id, from the table, else from TMDb and kept; `mine` is the viewer's rating of it.

    Raises TMDbError, NotFound among them.
    """
    movie = movie_in_table(movie_id, viewer)
    if movie is None:
        save_movies([fetch_movie(movie_id, TMDb(patient=False))], PosterNeed.ASKED)
        movie = Movie.objects.seen_by(viewer).get(pk=movie_id)
    return movie


def with_details(movie: Movie, viewer: int | None = None) -> Movie:
    """The film as its card shows it: one from a list row, which has no runtime, is asked for with its poster's bytes.

    Once a day at most; and never where the poster is in Telegram already: such a card asks TMDb nothing.
    """
    asked = f"details:{movie.pk}"
    from_list = movie.details_at is None and movie.runtime is None and movie.poster_status == PosterStatus.WAITING
    if not from_list or movie.telegram_file_id or cache.get(asked):
        return movie
    cache.set(asked, True, ASKED_FOR)
    try:
        save_movies([fetch_movie(movie.pk, TMDb(patient=False))], PosterNeed.ASKED)
    except TMDbError as error:
        log.warning("film %s: its card goes without details: %s", movie.pk, error)
        return movie
    return Movie.objects.seen_by(viewer).get(pk=movie.pk)


def movie_in_table(movie_id: int, viewer: int | None = None) -> Movie | None:
    """The film with this TMDb id, or None. Raises NotFound for what is no id."""
    if not 0 < movie_id <= LARGEST_ID:
        raise NotFound(f"/movie/{movie_id}: no such id")
    films = NUMBERED.rows(viewer=viewer, id=movie_id) if viewer is not None else numbered(viewer, movie_id)
    return next(iter(films), None)


def numbered(viewer: int | None, id: int) -> MovieQuerySet:
    return Movie.objects.seen_by(viewer).filter(pk=id)


def find_movies(text: str, viewer: int | None = None, ask: Ask = Ask.IF_THIN) -> Found:
    """Films for what a person typed, with the viewer's ratings (`mine`); none for an empty text.

    What the table knows is found without TMDb. What TMDb says is kept, and for a day it is not asked for the same words
    again. Raises NotFound for an address of no film, Unavailable where TMDb was needed and could not be asked.
    """
    query = Query.parse(text)
    if query.title and query.movie_id is not None:
        return find_number(query, viewer, ask)
    if query.title:
        return find_titles(query, viewer, ask)
    return Found([get_movie(query.movie_id, viewer)] if query.movie_id is not None else [])


def find_number(query: Query, viewer: int | None, ask: Ask) -> Found:
    """The film of this id, and films that are called so: 1917, 300, 12."""
    try:
        film, called = numbered_and_called(query, viewer)
        short = len(query.title) <= 4  # hardly any title is a longer number
        if film is None and not short and ask in (Ask.IF_THIN, Ask.ALWAYS):
            film = get_movie(query.movie_id, viewer)
        if film and ask is not Ask.ALWAYS:
            return Found([film, *called], hidden=short and not called)
        found = find_titles(query, viewer, ask)
        if film is None and ask in (Ask.IF_THIN, Ask.ALWAYS):
            film = get_movie(query.movie_id, viewer)
    except NotFound:
        return find_titles(query, viewer, ask)
    if film is None:
        return found
    called = [movie for movie in found.movies if ask is Ask.ALWAYS or query.is_title_of(movie)]
    return Found([film, *(movie for movie in called if movie != film)], found.hidden)


def numbered_and_called(
    query: Query, viewer: int | None
) -> tuple[Movie, list[Any]] | tuple[Movie, list[Movie]] | tuple[None, list[Any]]:
    """(the film with this id or None, other films that are called so) in one query: it is all that a card costs."""
    if not 0 < query.movie_id <= LARGEST_ID:
        raise NotFound(f"/movie/{query.movie_id}: no such id")
    if query.words.isdecimal() and viewer is not None:
        films = NUMBERED_OR_CALLED.rows(viewer=viewer, id=query.movie_id, words=query.words)
    else:
        films = numbered_or_called(viewer, query.movie_id, query.words)
    film = next((movie for movie in films if movie.pk == query.movie_id), None)
    return film, [movie for movie in films if movie != film and query.is_title_of(movie)]


def numbered_or_called(viewer: int | None, id: int, words: str) -> MovieQuerySet:
    films = Movie.objects.seen_by(viewer).filter(Q(pk=id) | titled(words))
    return films.order_by("-vote_count", "-popularity", "id")[:MOST]


SOMEBODY = 2**52 + 1  # like no id there is
NUMBERED = CompiledQuery(numbered, viewer=SOMEBODY, id=LARGEST_ID - 1)
NUMBERED_OR_CALLED = CompiledQuery(numbered_or_called, viewer=SOMEBODY, id=LARGEST_ID - 1, words="10071007")


def find_titles(query: Query, viewer: int | None, ask: Ask) -> Found:
    Movie.objects.make_searchable()
    known = known_titles(query, viewer)
    answer = kept_answer(query)
    if answer is None and is_wanted(ask, known, query):
        answer = ask_once(query)
        if not answer and not known and query.year:
            answer = ask_once(query.as_title())
        known = known_titles(query, viewer)
    films = known + others(answer or [], known, viewer)
    return Found(films or near_year(query, viewer), hidden=answer is None)


def is_wanted(ask: Ask, known: list[Any | Movie], query: Query) -> bool:
    """Whether TMDb is to be asked, given what the table knows."""
    if ask is Ask.IF_THIN:
        return len(known) < THIN and not any(query.is_title_of(movie) for movie in known)
    return ask is Ask.ALWAYS or (ask is Ask.IF_NOTHING and not known)


def known_titles(query: Query, viewer: int | None) -> list[Any | Movie]:
    """Films of the table for a title with a year, else for a title that ends with one: Wonder Woman 1984."""
    return search_table(query, viewer) or (search_table(query.as_title(), viewer) if query.year else [])


def search_table(query: Query, viewer: int | None = None) -> list[Any | Movie]:
    """Films of the table whose titles hold the words of the query, in any script and case; best first."""
    if not query.words:
        return []
    films = ranked(query, viewer, candidates(query.words, query.year))
    if connection.vendor == "postgresql" and is_wanted(Ask.IF_THIN, films, query):
        films = ranked(query, viewer, holding(query.words, query.year))  # films that few know: in the middle of words
    return films


def ranked(query: Query, viewer: int | None, films: Q) -> list[Any | Movie]:
    """The best of these films, the closest to the words of the query first."""
    words = query.words
    closeness = Case(
        When(titled(words), then=Value(0)),
        When(Q(search_text__startswith=words) | Q(search_text__contains=f"|{words}"), then=Value(1)),
        When(search_text__contains=f" {words}", then=Value(2)),
        When(search_text__contains=words, then=Value(3)),
        default=Value(4),
        output_field=IntegerField(),
    )
    found = Movie.objects.seen_by(viewer).filter(films)
    return list(found.order_by(closeness, "-vote_count", "-popularity", "id")[:MOST])


def near_year(query: Query, viewer: int | None) -> list[Any | Movie]:
    """Films of this title from the year before or after: countries differ about the year of a film."""
    if not query.year:
        return []
    films = search_table(Query(title=query.title), viewer)
    return [movie for movie in films if movie.year and abs(movie.year - query.year) == 1]


def others(ids: list[Any | int], known: list[Any | Movie], viewer: int | None) -> list[Any | Movie]:
    """The films with these ids, in this order, that are not known yet: TMDb knows titles that our table does not."""
    ids = [id for id in ids if id not in {movie.pk for movie in known}]
    films = Movie.objects.seen_by(viewer).in_bulk(ids)
    return [films[id] for id in ids if id in films]


# --- Lists that TMDb makes: of a search kept for a day, of what is beside a film for months


def ask_once(query: Query) -> list[Any | int]:
    """The ids of TMDb's films for a query; asked within the last day, its answer of then."""
    ids = kept_answer(query)
    if ids is None:
        movies = movies_in(TMDb(patient=False).search(query.title, query.year))
        save_movies(movies)
        ids = [movie.id for movie in movies]
        cache.set(key_of(query), ids, ASKED_FOR)
    return ids


def kept_answer(query: Query) -> list[int] | None:
    return cache.get(key_of(query))


def key_of(query: Query) -> str:
    """Marks on letters count: what TMDb does not find for "елки" it may find for "ёлки"."""
    return f"search:{hashlib.sha256(query.title.casefold().encode()).hexdigest()[:40]}:{query.year or ''}"


def similar_movies(movie_id: int, viewer: int | None = None) -> list[Any | Movie]:
    """The films that people like beside this one, as far as the bot has learned it, else those TMDb shows.

    TMDb is asked where the worker has not asked it, and what it says is kept as the worker keeps it. Raises TMDbError.
    """
    if learned := others(import_string(LEARNED)(movie_id), [], viewer):
        return learned
    beside = import_string(BESIDE)
    if beside(movie_id) is None:
        import_string(KEEP_BESIDE)(movie_id, movies_in(TMDb(patient=False).recommendations(movie_id)))
    return others(beside(movie_id) or [], [], viewer)


def movies_in(reply: dict[str, Any]) -> list[Any | Movie]:
    """Unsaved films of a list of TMDb's; one odd row hides no other."""
    rows = reply.get("results")
    movies = {}
    for row in rows if isinstance(rows, list) else []:
        try:
            movie = movie_from(row)
        except Unavailable:
            continue
        movies.setdefault(movie.id, movie)
    return list(movies.values())
