"""Find a movie: in the table, else at TMDb, whose answer is saved.

Whatever the table knows is found without TMDb. TMDb is asked the same search once a day at most.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.db import connection
from django.db.models import Case, IntegerField, Q, Value, When
from django.utils.module_loading import import_string

from config.bot.validation import cleaned
from movies.models import Movie, PosterPriority, PosterStatus, normalize_title
from movies.parsing import MAX_MOVIE_ID, MalformedAnswer, parse_details, parse_movies
from movies.saving import save_movies
from movies.search import candidates, containing, exact_title, exact_title_sql
from movies.tmdb import NotFound, TMDb, TMDbError

if TYPE_CHECKING:
    from django.db.models.query import RawQuerySet

log = logging.getLogger(__name__)

ADDRESS = re.compile(r"(?:themoviedb\.org|tmdb\.org|/)/?(?:[a-z]{2}(?:-[a-z]{2})?/)?movie/(\d+)", re.IGNORECASE)
TITLE_AND_YEAR = re.compile(r"(?P<title>.*\S)[\s,]+\(?(?P<year>(?:18|19|20)\d\d)\)?")
MAX_QUERY_LENGTH = 200  # characters; TMDb's longest title has fewer
MIN_RESULTS = 5  # with fewer movies than this, none of them of exactly this title, TMDb is asked
MAX_RESULTS = 50  # movies of the table for one query
MAX_TITLE_DIGITS = 4  # hardly any title is a longer number
SEARCH_TTL_SECONDS = 24 * 3600  # TMDb is not asked the same again within this time

# Of the app above, by dotted path: ids of similar movies as learned; ids that TMDb recommends (None: not asked
# lately); and the function that saves those
SIMILAR_MOVIE_IDS = "ratings.recommendations.recommender.similar_movie_ids"
CACHED_RECOMMENDATIONS = "ratings.recommendations.cold_start.tmdb_recommendations_for"
SAVE_RECOMMENDATIONS = "ratings.recommendations.cold_start.save_tmdb_recommendations"

# Movies with the user's rating of each, as MovieQuerySet.with_user_rating: a card's only query. Written out, since
# Django takes longer to build the query than to run it.
CARD_SQL = (
    "SELECT movies.*, COALESCE(own.manual_rating, own.tmdb_rating, own.normalized_rating) AS user_rating"
    " FROM movies LEFT JOIN user_movie_ratings AS own ON own.movie_id = movies.id AND own.telegram_user_id = %s"
    " WHERE "
)


class TmdbPolicy(Enum):
    """When a search asks TMDb."""

    NEVER = "never"
    IF_NONE = "where the table knows no such movie"
    IF_FEW = "where the table knows few such movies, and none of exactly this title"
    ALWAYS = "whatever the table knows"


@dataclass(frozen=True)
class Query:
    """What a user typed to find a movie. A number has both an id and a title."""

    movie_id: int | None = None
    title: str = ""
    year: int | None = None

    @classmethod
    def parse(cls, text: str) -> Query:
        """A TMDb id, an address of TMDb's, a title, or a title with a year."""
        text = " ".join(cleaned(text).split())
        if found := ADDRESS.search(text):
            return cls(movie_id=int(found[1][:20]))
        text = text[:MAX_QUERY_LENGTH]
        if re.fullmatch(r"[0-9]{1,10}", text):
            return cls(int(text), text)
        found = TITLE_AND_YEAR.fullmatch(text)
        if found and int(found["year"]) <= date.today().year + 10:  # Blade Runner 2049 is not a movie of 2049
            return cls(title=found["title"], year=int(found["year"]))
        return cls(title=text)

    @property
    def words(self) -> str:
        return normalize_title(self.title)

    def matches_title(self, movie: Movie) -> bool:
        titles = movie.search_text.split("|")
        return self.words in titles or self.as_title().words in titles

    def as_title(self) -> Query:
        """The same with the year as a part of the title: Wonder Woman 1984."""
        return Query(title=f"{self.title} {self.year}") if self.year else self


@dataclass(frozen=True)
class Found:
    """Movies for a query, best first; `more_available`: TMDb has not been asked, and may know more."""

    movies: list[Movie]
    more_available: bool = False


# --- One movie


def fetch_movie(movie_id: int, tmdb: TMDb) -> Movie:
    """An unsaved Movie with details from TMDb. Raises TMDbError."""
    movie = parse_details(tmdb.movie(movie_id))
    if movie.id != int(movie_id):
        raise MalformedAnswer(f"/movie/{movie_id}: answered with another movie")
    return movie


def get_movie(movie_id: int, user_id: int | None = None) -> Movie:
    """The movie with this TMDb id and `user_rating`, from the table, else from TMDb and saved.

    Raises TMDbError, NotFound among them.
    """
    return get_local_movie(movie_id, user_id) or _fetch_and_save(movie_id, user_id)


def get_local_movie(movie_id: int, user_id: int | None = None) -> Movie | None:
    """The table's movie with this TMDb id, or None. Raises NotFound for what cannot be an id."""
    _require_id(movie_id)
    return next(iter(_loaded(movie_by_id(movie_id, user_id))), None)


def ensure_details(movie: Movie, user_id: int | None = None) -> Movie:
    """The movie as its card shows it: one known from a list row only, which has no runtime, is read from TMDb.

    Once a day at most, and never where the poster is in Telegram already: such a card asks TMDb nothing.
    """
    asked = f"details:{movie.pk}"
    from_list = movie.details_at is None and movie.runtime is None and movie.poster_status == PosterStatus.WAITING
    if not from_list or movie.telegram_file_id or cache.get(asked):
        return movie
    cache.set(asked, True, SEARCH_TTL_SECONDS)
    try:
        return _fetch_and_save(movie.pk, user_id)
    except TMDbError as error:
        log.warning("movie %s: its card is sent without details: %s", movie.pk, error)
        return movie


def _fetch_and_save(movie_id: int, user_id: int | None) -> Movie:
    save_movies([fetch_movie(movie_id, TMDb(background=False))], PosterPriority.ASKED)
    return Movie.objects.with_user_rating(user_id).get(pk=movie_id)


def _require_id(movie_id: int) -> None:
    if not 0 < movie_id <= MAX_MOVIE_ID:
        raise NotFound(f"/movie/{movie_id}: not an id")


def movie_by_id(movie_id: int, user_id: int | None) -> RawQuerySet[Movie]:
    return Movie.objects.raw(CARD_SQL + "movies.id = %s", [user_id, movie_id])


def movies_by_id_or_title(movie_id: int, digits: str, user_id: int | None) -> RawQuerySet[Movie]:
    titled, values = exact_title_sql(digits)
    sql = f"{CARD_SQL}(movies.id = %s OR {titled}) ORDER BY vote_count DESC, popularity DESC, id LIMIT {MAX_RESULTS}"
    return Movie.objects.raw(sql, [user_id, movie_id, *values])


def _loaded(movies: RawQuerySet[Movie]) -> list[Movie]:
    """The movies of a raw query; SQLite returns a rating as a float or an int."""
    loaded = list(movies)
    for movie in loaded:
        if movie.user_rating is not None:
            movie.user_rating = Decimal(str(movie.user_rating))
    return loaded


# --- Search


def find_movies(text: str, user_id: int | None = None, policy: TmdbPolicy = TmdbPolicy.IF_FEW) -> Found:
    """Movies for what a user typed, each with `user_rating`; none for an empty text.

    Raises NotFound for an address of no movie, Unavailable where TMDb was needed and could not be asked.
    """
    query = Query.parse(text)
    if query.movie_id is None:
        return _find_by_title(query, user_id, policy) if query.title else Found([])
    if query.title:
        return _find_by_number(query.movie_id, query, user_id, policy)
    return Found([get_movie(query.movie_id, user_id)])


def _find_by_number(movie_id: int, query: Query, user_id: int | None, policy: TmdbPolicy) -> Found:
    """The movie with this id, and movies with this title: 1917, 300, 12."""
    may_fetch = policy in (TmdbPolicy.IF_FEW, TmdbPolicy.ALWAYS)
    try:
        _require_id(movie_id)
        known = _loaded(movies_by_id_or_title(movie_id, query.words, user_id))
        movie = next((movie for movie in known if movie.pk == movie_id), None)
        titled = [other for other in known if other != movie and query.matches_title(other)]
        is_short = len(query.title) <= MAX_TITLE_DIGITS
        if movie is None and not is_short and may_fetch:
            movie = get_movie(movie_id, user_id)
        if movie and policy is not TmdbPolicy.ALWAYS:
            return Found([movie, *titled], more_available=is_short and not titled)
        found = _find_by_title(query, user_id, policy)
        if movie is None and may_fetch:
            movie = get_movie(movie_id, user_id)
    except NotFound:
        return _find_by_title(query, user_id, policy)
    if movie is None:
        return found
    titled = [other for other in found.movies if policy is TmdbPolicy.ALWAYS or query.matches_title(other)]
    return Found([movie, *(other for other in titled if other != movie)], found.more_available)


def _find_by_title(query: Query, user_id: int | None, policy: TmdbPolicy) -> Found:
    Movie.objects.fill_search_text()
    known = _local_by_title(query, user_id)
    ids = _cached_search(query)
    if ids is None and _should_ask_tmdb(policy, known, query):
        ids = _search_tmdb(query)
        if not ids and not known and query.year:
            ids = _search_tmdb(query.as_title())
        known = _local_by_title(query, user_id)
    movies = known + _load_others(ids or [], known, user_id)
    return Found(movies or _from_adjacent_years(query, user_id), more_available=ids is None)


def _should_ask_tmdb(policy: TmdbPolicy, known: list[Movie], query: Query) -> bool:
    """Whether TMDb is to be asked, given the movies that the table knows."""
    if policy is TmdbPolicy.IF_FEW:
        return len(known) < MIN_RESULTS and not any(query.matches_title(movie) for movie in known)
    return policy is TmdbPolicy.ALWAYS or (policy is TmdbPolicy.IF_NONE and not known)


def _local_by_title(query: Query, user_id: int | None) -> list[Movie]:
    """The table's movies for a title with a year, else for a title that ends with one: Wonder Woman 1984."""
    return _search_table(query, user_id) or (_search_table(query.as_title(), user_id) if query.year else [])


def _search_table(query: Query, user_id: int | None) -> list[Movie]:
    """The table's movies whose titles contain the words of the query, in any script and case; best first."""
    if not query.words:
        return []
    movies = _ranked(query, user_id, candidates(query.words, query.year))
    if connection.vendor == "postgresql" and _should_ask_tmdb(TmdbPolicy.IF_FEW, movies, query):
        movies = _ranked(query, user_id, containing(query.words, query.year))  # little known ones: in mid-word as well
    return movies


def _ranked(query: Query, user_id: int | None, condition: Q) -> list[Movie]:
    """The best of the movies that meet the condition, the closest to the words of the query first."""
    words = query.words
    closeness = Case(
        When(exact_title(words), then=Value(0)),
        When(Q(search_text__startswith=words) | Q(search_text__contains=f"|{words}"), then=Value(1)),
        When(search_text__contains=f" {words}", then=Value(2)),
        When(search_text__contains=words, then=Value(3)),
        default=Value(4),
        output_field=IntegerField(),
    )
    movies = Movie.objects.with_user_rating(user_id).filter(condition)
    return list(movies.order_by(closeness, "-vote_count", "-popularity", "id")[:MAX_RESULTS])


def _from_adjacent_years(query: Query, user_id: int | None) -> list[Movie]:
    """Movies of this title from the year before or after: countries differ about the year of a movie."""
    if not query.year:
        return []
    movies = _search_table(Query(title=query.title), user_id)
    return [movie for movie in movies if movie.year and abs(movie.year - query.year) == 1]


def _load_others(ids: list[int], known: list[Movie], user_id: int | None) -> list[Movie]:
    """The movies with these ids, in this order, without the known ones: TMDb knows titles that the table does not."""
    known_ids = {movie.pk for movie in known}
    wanted = [id for id in ids if id not in known_ids]
    movies = Movie.objects.with_user_rating(user_id).in_bulk(wanted)
    return [movies[id] for id in wanted if id in movies]


# --- Lists of TMDb's: of a search cached for a day, of recommendations for months


def _search_tmdb(query: Query) -> list[int]:
    """The ids of TMDb's movies for a query, saved; asked within the last day, from the cache."""
    ids = _cached_search(query)
    if ids is None:
        movies = parse_movies(TMDb(background=False).search(query.title, query.year))
        save_movies(movies)
        ids = [movie.id for movie in movies]
        cache.set(_search_cache_key(query), ids, SEARCH_TTL_SECONDS)
    return ids


def _cached_search(query: Query) -> list[int] | None:
    ids: list[int] | None = cache.get(_search_cache_key(query))
    return ids


def _search_cache_key(query: Query) -> str:
    """Diacritics count: what TMDb does not find for "елки" it may find for "ёлки"."""
    return f"search:{hashlib.sha256(query.title.casefold().encode()).hexdigest()[:40]}:{query.year or ''}"


def similar_movies(movie_id: int, user_id: int | None = None) -> list[Movie]:
    """Movies that users like together with this one, where the bot has learned any, else TMDb's recommendations.

    TMDb is asked where no worker has asked it lately, and its answer is saved as the worker does. Raises TMDbError.
    """
    if learned := _load_others(import_string(SIMILAR_MOVIE_IDS)(movie_id), [], user_id):
        return learned
    recommendations = import_string(CACHED_RECOMMENDATIONS)
    if recommendations(movie_id) is None:
        answer = TMDb(background=False).recommendations(movie_id)
        import_string(SAVE_RECOMMENDATIONS)(movie_id, parse_movies(answer))
    return _load_others(recommendations(movie_id) or [], [], user_id)
