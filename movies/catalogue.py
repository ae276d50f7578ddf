"""Find a movie: in the table, else at TMDb, whose answer is saved.

Whatever the table knows is found without TMDb. TMDb is asked the same search once a day at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.db.models import Case, IntegerField, Q, Value, When
from django.utils.module_loading import import_string

from movies.merging import successors
from movies.models import Movie, PosterPriority, normalize_title
from movies.parsing import MAX_MOVIE_ID, MalformedAnswer, parse_details, parse_movies
from movies.people import SEARCH_TTL_SECONDS, Person, find_person, is_series, text_digest
from movies.query import IsSeries, Query
from movies.respelling import respellings
from movies.saving import save_movies
from movies.search import SHORT_WORD, candidates, containing_any, exact_title, exact_title_sql, titled_any
from movies.tmdb import NotFound, TMDb, TMDbError
from movies.vocabulary import vocabulary

if TYPE_CHECKING:
    from django.db.models.query import RawQuerySet

MIN_RESULTS = 5  # with fewer movies than this, none of them of exactly this title, TMDb is asked
MAX_RESULTS = 50  # movies of the table for one query
MAX_EXPANDED_WORDS = 6  # of a query, whose misspellings and parts are looked for
MAX_ALTERNATIVES = 20  # words that one word typed may stand for
MIN_KNOWN_VOTES = 1000  # with which a movie is meant rather than a person whose name is like its title
MIN_SEQUEL_VOTES = 0.02  # of the votes of the best known movie of a series
MAX_TITLE_DIGITS = 4  # hardly any title is a longer number

# Of the app above, by dotted path: ids of similar movies as learned; ids that TMDb recommends (None: not asked
# lately); and the function that saves those
SIMILAR_MOVIE_IDS = "ratings.recommendations.recommender.similar_movie_ids"
CACHED_RECOMMENDATIONS = "ratings.recommendations.cold_start.tmdb_recommendations_for"
SAVE_RECOMMENDATIONS = "ratings.recommendations.cold_start.save_tmdb_recommendations"

# Movies with what the user has of each, as MovieQuerySet.with_user_rating: a card's only query. Written out, since
# Django takes longer to build the query than to run it. Parameters: the user's id, twice.
CARD_SQL = (
    "SELECT movies.*, COALESCE(own.manual_rating, own.tmdb_rating, own.normalized_rating) AS user_rating,"
    " wanted.movie_id IS NOT NULL AS on_watchlist"
    " FROM movies LEFT JOIN user_movie_ratings AS own ON own.movie_id = movies.id AND own.telegram_user_id = %s"
    " LEFT JOIN watchlist AS wanted ON wanted.movie_id = movies.id AND wanted.telegram_user_id = %s"
    " WHERE "
)


class TmdbPolicy(Enum):
    """When a search asks TMDb."""

    NEVER = "never"
    IF_NONE = "where the table knows no such movie"
    IF_FEW = "where the table knows few such movies, and none of exactly this title"
    ALWAYS = "whatever the table knows"


@dataclass(frozen=True)
class Found:
    """Movies for a query, best first.

    `more_available`: there may be more, of TMDb's or, beside a person's, of this title. `is_guess`: no title has the
    words as they were typed. `corrected`: what was meant then, perhaps. `person`: the movies are this person's.
    """

    movies: list[Movie]
    more_available: bool = False
    is_guess: bool = False
    corrected: str = ""
    person: Person | None = None


# --- One movie


def fetch_movie(movie_id: int, tmdb: TMDb) -> Movie:
    """An unsaved Movie with details from TMDb. Raises TMDbError."""
    movie = parse_details(tmdb.movie(movie_id))
    if movie.id != int(movie_id):
        raise MalformedAnswer(f"/movie/{movie_id}: answered with another movie")
    return movie


def get_movie(movie_id: int, user_id: int | None = None) -> Movie:
    """The movie with this TMDb id and `user_rating`, from the table, else from TMDb and saved.

    One of which only the id is known is read, too, where TMDb shows it. Raises TMDbError, NotFound among them.
    """
    movie = get_local_movie(movie_id, user_id)
    if movie and movie.title:
        return movie
    try:
        return _fetch_and_save(movie_id, user_id)
    except TMDbError:
        if movie is None:
            raise
        return movie


def get_local_movie(movie_id: int, user_id: int | None = None) -> Movie | None:
    """The table's movie with this TMDb id, or None. Raises NotFound for what cannot be an id."""
    _require_id(movie_id)
    found = next(iter(_loaded(movie_by_id(movie_id, user_id))), None)
    if found is None and (successor_id := successors([movie_id]).get(movie_id)):
        return get_local_movie(successor_id, user_id)
    return found


def _fetch_and_save(movie_id: int, user_id: int | None) -> Movie:
    movie = parse_details(TMDb(background=False).movie(movie_id))  # another one's where TMDb has merged two
    save_movies([movie], PosterPriority.ASKED)
    return Movie.objects.with_user_rating(user_id).get(pk=movie.pk)


def _require_id(movie_id: int) -> None:
    if not 0 < movie_id <= MAX_MOVIE_ID:
        raise NotFound(f"/movie/{movie_id}: not an id")


def movie_by_id(movie_id: int, user_id: int | None) -> RawQuerySet[Movie]:
    return Movie.objects.raw(CARD_SQL + "movies.id = %s", [user_id, user_id, movie_id])


def movies_by_id_or_title(movie_id: int, digits: str, user_id: int | None) -> RawQuerySet[Movie]:
    titled, values = exact_title_sql(digits)
    sql = f"{CARD_SQL}(movies.id = %s OR {titled}) ORDER BY vote_count DESC, popularity DESC, id LIMIT {MAX_RESULTS}"
    return Movie.objects.raw(sql, [user_id, user_id, movie_id, *values])


def _loaded(movies: RawQuerySet[Movie]) -> list[Movie]:
    """The movies of a raw query; SQLite returns a rating as a float or an int, and a truth as an int."""
    loaded = list(movies)
    for movie in loaded:
        movie.on_watchlist = bool(movie.on_watchlist)
        if movie.user_rating is not None:
            movie.user_rating = Decimal(str(movie.user_rating))
    return loaded


# --- Search


def find_movies(text: str, user_id: int | None = None, policy: TmdbPolicy = TmdbPolicy.IF_FEW) -> Found:
    """Movies for what a user typed, each with `user_rating`; none for an empty text.

    Raises NotFound for an address of no movie (IsSeries for a series, by its name too), Unavailable where TMDb was
    needed and could not be asked.
    """
    query = Query.parse(text)
    may_ask = policy is not TmdbPolicy.NEVER
    if query.imdb_id:
        by_imdb_id = _known_by_imdb_id(query.imdb_id, user_id)
        return _only(by_imdb_id or (_get_by_imdb_id(query.imdb_id, user_id) if may_ask else None))
    if query.people and (found := _find_by_person(query.people, user_id, policy)):
        return found
    if query.movie_id is None:
        return _find_by_title(query, user_id, policy) if query.title else Found([])
    if query.title:
        return _find_by_number(query.movie_id, query, user_id, policy)
    return _only((get_movie if may_ask else get_local_movie)(query.movie_id, user_id))


def _only(movie: Movie | None) -> Found:
    return Found([movie] if movie else [])


def _known_by_imdb_id(imdb_id: str, user_id: int | None) -> Movie | None:
    return Movie.objects.with_user_rating(user_id).filter(imdb_id=imdb_id).first()


def _get_by_imdb_id(imdb_id: str, user_id: int | None) -> Movie:
    answer = TMDb(background=False).find(imdb_id)
    for movie in parse_movies({"results": answer.get("movie_results")}):
        return get_movie(movie.pk, user_id)
    if answer.get("tv_results") or answer.get("tv_episode_results"):
        raise IsSeries(f"{imdb_id} is a series")
    raise NotFound(f"/find/{imdb_id}: no movie")


def _find_by_person(names: Iterable[str], user_id: int | None, policy: TmdbPolicy) -> Found | None:
    """The movies of the first of these names that TMDb knows, or None."""
    for name in dict.fromkeys(names):
        if person := find_person(name, may_ask=policy is not TmdbPolicy.NEVER):
            return Found(movies_of_person(person, user_id), person=person)
    return None


def movies_of_person(person: Person, user_id: int | None) -> list[Movie]:
    return _load_others(person.movie_ids, [], user_id)


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
    if not known and (other := query.in_other_layout):
        known = _local_by_title(other, user_id)
        if known or query.is_russian_in_latin_keys or (other.series and _local_by_title(other.series, user_id)):
            query = other
    is_exact = any(query.matches_title(movie) for movie in known)
    if not is_exact and (other := _as_titles_spell_it(query)):
        spelled = _local_by_title(other, user_id)
        known = spelled + [movie for movie in known if movie not in spelled]
        query, is_exact = other, True
    series = None if is_exact else query.series
    asked = series or query  # "Такси" brings "Такси 2" as well
    ids = _cached_search(asked)
    if ids is None and _should_ask_tmdb(policy, known, query):
        ids = _search_tmdb(asked)
        if not ids and not known and query.year:
            ids = _search_tmdb(query.as_title())
        known = _local_by_title(query, user_id)
    if series and not any(query.matches_title(movie) for movie in known):
        known += _load_others([movie.pk for movie in _sequels(series, query.sequel_number, user_id)], known, user_id)
    movies = known + _load_others(ids or [], known, user_id) or _from_adjacent_years(query, user_id)
    if movies:
        may_ask = ids is not None and policy is TmdbPolicy.IF_FEW  # nothing more where the table knew enough
        person = _better_known_person(query, movies, user_id) if may_ask else None
        return person or Found(movies, more_available=ids is None and len(movies) > 1)
    near = _near_misses(query, user_id)
    is_known = near.movies and not near.more_available and near.movies[0].vote_count >= MIN_KNOWN_VOTES
    if not is_known and query.may_be_name and (found := _find_by_name(query, user_id, policy)):
        return found
    return near


def _better_known_person(query: Query, movies: list[Movie], user_id: int | None) -> Found | None:
    """The person of this name where these movies, which only mention it, are less known than the person's: Нолан."""
    if not query.may_be_name or any(map(query.matches_title, movies)):
        return None
    begun = [movie for movie in movies if query.begins_title(movie)]
    # "Андрей Тарковский. Кино как молитва" begins with a whole name, too
    if any(" " not in query.words or movie.vote_count >= MIN_KNOWN_VOTES for movie in begun):
        return None
    try:
        found = _find_by_person([query.title], user_id, TmdbPolicy.IF_FEW)
    except TMDbError:
        return None
    if found and found.movies and found.movies[0].vote_count > max(movie.vote_count for movie in movies):
        return replace(found, more_available=True)
    return None


def _find_by_name(query: Query, user_id: int | None, policy: TmdbPolicy) -> Found | None:
    """The movies of a person of this name. Raises IsSeries where a series is called so."""
    if found := _find_by_person([query.title], user_id, policy):
        return found
    if is_series(query.words, query.title, may_ask=policy is not TmdbPolicy.NEVER):
        raise IsSeries("the name of a series")
    return None


def _sequels(series: Query, number: int, user_id: int | None) -> list[Movie]:
    """The well-known movies whose title begins so, by date, from the one with this number on; then those before it."""
    begun = [movie for movie in _search_table(series, user_id) if series.begins_title(movie)]
    least = max((movie.vote_count for movie in begun), default=0) * MIN_SEQUEL_VOTES
    dated = sorted((movie for movie in begun if movie.vote_count >= least), key=lambda m: m.release_date or date.max)
    return dated[number - 1 :] + dated[: number - 1]


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
    if _should_ask_tmdb(TmdbPolicy.IF_FEW, movies, query):  # parts in mid-word as well, of movies hardly anybody knows
        movies += _containing_parts(query, user_id, without={movie.pk for movie in movies})
    return movies


def _containing_parts(query: Query, user_id: int | None, without: set[int]) -> list[Movie]:
    """The table's movies with words that contain each word of the query, unless that is a short one."""
    words = query.words.split()
    if not 0 < len(words) <= MAX_EXPANDED_WORDS:
        return []
    longer = [vocabulary().containing(word, MAX_ALTERNATIVES) if len(word) > SHORT_WORD else [] for word in words]
    if not any(longer):
        return []
    groups = [[f"{word}*", *others] for word, others in zip(words, longer, strict=True)]
    return [movie for movie in _ranked(query, user_id, containing_any(groups, query.year)) if movie.pk not in without]


def _as_titles_spell_it(query: Query) -> Query | None:
    """The query in other words that are a whole title of the table: "спайдермен 2" as it is written there."""
    others = respellings(query.words, vocabulary())
    spelled = {title for movie in Movie.objects.filter(titled_any(others)) for title in movie.search_text.split("|")}
    return next((Query(title=other, year=query.year) for other in others if other in spelled), None)


def _near_misses(query: Query, user_id: int | None) -> Found:
    """The table's movies whose titles have these words but for a mistake or two.

    Those with the fewest mistakes come first, of them those of just this title, then the best known.
    """
    words = query.words.split()
    if not 0 < len(words) <= MAX_EXPANDED_WORDS:
        return Found([])
    known = vocabulary(newest=True)
    near = [known.near(word, MAX_ALTERNATIVES) for word in words]
    if not any(near):
        return Found([])
    groups = [[f"{word}*", *others] for word, others in zip(words, near, strict=True)]
    movies = Movie.objects.with_user_rating(user_id).filter(containing_any(groups, query.year))

    def mistakes(movie: Movie) -> int:
        titled = re.split(r"[ |]", movie.search_text)
        return sum(
            0 if word in titled else min(others.get(one, 9) for one in titled)
            for word, others in zip(words, near, strict=True)
        )

    def is_longer(movie: Movie) -> bool:
        return all(len(title.split()) > len(words) for title in movie.search_text.split("|"))

    found = sorted(movies, key=lambda movie: (mistakes(movie), is_longer(movie), -movie.vote_count))[:MAX_RESULTS]
    if not found:
        return Found([])
    best = found[0]
    written = {
        normalize_title(word): word.lower()
        for title in (best.title_en, best.original_title, best.title)
        for word in re.findall(r"\w+", title)
    }
    titled = written | {word: word for word in re.split(r"[ |]", best.search_text) if word not in written}
    meant = [
        titled.get(word) or next((titled[other] for other in others if other in titled), word)
        for word, others in zip(words, near, strict=True)
    ]
    return Found(found, more_available=is_longer(found[0]), is_guess=True, corrected=" ".join(meant))


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
    movies = Movie.objects.with_user_rating(user_id).exclude(title="").in_bulk(wanted)  # not those known by id only
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
    return f"search:{text_digest(query.title)}:{query.year or ''}"


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
