"""Movies a user will like, with a reason for each: the neighbours of what they rated, by one query, added up.

New ratings count at once, since only the neighbours are trained at night (ratings.recommendations.training); no process
that answers users loads numpy. While the bot has few users, what TMDb recommends to who likes a rated movie counts too
(ratings.recommendations.cold_start); where neither says anything there are the movies with the best votes.

A movie that the user rated, has seen or dismissed is never recommended, nor one that is not in `movies`; one on their
watchlist only when they ask for those.
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.db.models import ExpressionWrapper, F, FloatField

from movies.models import AnyGenre, Movie, MovieQuerySet, any_genre_sql
from ratings.recommendations.diversify import Pair, diversify, same_series
from ratings.recommendations.user_profile import liked_movies, user_vector

PAGE = 10  # movies at a time
LOOKUP_BATCH = 5000  # movies looked up in one statement
SPARE_CANDIDATES = 20  # beyond those shown, so that diversify() has a choice
MANY_SPARE_CANDIDATES = 200  # where those are too much alike
FILTERED_BATCH = 400  # best scored movies that are first looked up where only some meet the filters
MAX_REASONS = 20  # liked movies that may be the reason for one
MAX_ALIKE = 100  # liked movies among which one that is like a movie is looked for
MIN_LIKENESS = 0.5  # of a reason: half of the genres in common, or the director
MAX_SERIES_RANK = 2  # two movies among each other's nearest so many are of one series
PRIOR_VOTES, PRIOR_MEAN = 500, 6.5  # imaginary votes in the Bayesian mean of a movie's votes, and their value
MAX_TOP_VOTED = 500  # movies in the list of the best votes
TMDB_WEIGHT = 0.02  # of TMDb's first recommendation in a bot without users; never measured
TMDB_HALF_USERS = 25  # users at which the weight of TMDb's recommendations is half of that
MAX_USERS_FOR_TMDB = 250  # users from which they no longer count
TMDB_PLACES = 20  # a page of TMDb's recommendations
COLD_START_PAGE = 5  # movies offered at once to a user without ratings
COLD_START_POOL = 60  # the best-known movies from which those are selected
FILTERED_LIST_TTL_SECONDS = 60
LIST_TTL_SECONDS = 3600  # of cached lists that are the same for all users

DISMISSED, SEEN, LISTED = 0, -1, -2  # rows of a profile that are no ratings

Range = tuple[int, int]  # both ends included
Scores = Mapping[int, float]  # {movie id: score}


@dataclass(frozen=True)
class Filters:
    """What the user wants to see now; None or empty: no condition.

    A movie whose year, runtime or genres are unknown meets no condition on them but `without`.
    """

    years: Range | None = None
    minutes: Range | None = None
    genres: frozenset[int] = frozenset()  # TMDb's ids: the movie is of one of these
    without: frozenset[int] = frozenset()  # and of none of these
    listed: bool = False  # on the user's watchlist

    @property
    def ranges(self) -> dict[str, Range]:
        """{column of `movies`: its range}."""
        return {column: ends for column, ends in (("year", self.years), ("runtime", self.minutes)) if ends}

    def movies(self) -> MovieQuerySet:
        """All movies that meet the conditions on the movie itself."""
        movies = Movie.objects.filter(**{f"{column}__range": ends for column, ends in self.ranges.items()})
        if self.genres:
            movies = movies.filter(AnyGenre(self.genres))
        return movies.exclude(AnyGenre(self.without)) if self.without else movies

    def among(self, movie_ids: Iterable[int]) -> set[int]:
        """Those of the movies that have a title and meet the conditions on the movie itself."""
        return self._read(MOVIES_IN_PARAMETER[connection.vendor], [id_list(movie_ids)])

    def all_ids(self) -> set[int] | None:
        """All movies with a title that meet the conditions; None where no index finds them."""
        indexed = connection.vendor == "postgresql" and (self.genres or self.years)
        return self._read("movies WHERE TRUE", []) if indexed else None

    def _read(self, source: str, values: list[Any]) -> set[int]:
        sql = f"SELECT movies.id FROM {source} AND title <> ''"
        for column, ends in self.ranges.items():
            sql += f" AND {column} BETWEEN %s AND %s"
            values += ends
        if self.genres:
            sql += f" AND {any_genre_sql('genres', self.genres)}"
        if self.without:
            sql += f" AND NOT {any_genre_sql('genres', self.without)}"
        return {movie_id for (movie_id,) in fetch_all(sql, values)}

    def as_json(self) -> dict[str, Any]:
        """What from_json() reads; only what is set."""
        values = {
            "years": self.years,
            "minutes": self.minutes,
            "genres": sorted(self.genres),
            "without": sorted(self.without),
            "listed": self.listed,
        }
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Filters:
        years, minutes = values.get("years"), values.get("minutes")
        return cls(
            (years[0], years[1]) if years else None,
            (minutes[0], minutes[1]) if minutes else None,
            frozenset(values.get("genres", ())),
            frozenset(values.get("without", ())),
            bool(values.get("listed")),
        )


NO_FILTERS = Filters()


class Recommendation(NamedTuple):
    """A movie, and the liked movie that speaks for it most of those that speak for no other; None: none does."""

    movie_id: int
    because: int | None


@dataclass(frozen=True)
class UserProfile:
    """What a user's recommendations are computed from."""

    vector: dict[int, float]  # user_profile.user_vector()
    liked: frozenset[int]  # movies that may be given as a reason
    hidden: frozenset[int]  # rated, dismissed or seen movies
    listed: frozenset[int]  # movies on the watchlist, which are not recommended unless asked for
    run_id: int  # the training run whose neighbours serve; 0: none yet
    tmdb_weight: float  # of TMDb's first recommendation; 0: they do not count

    @classmethod
    def load(cls, user_id: int) -> UserProfile:
        run_id, order_weight, users = current_run()
        # one statement; what is no rating has a value that no rating has
        rows = fetch_all(
            "SELECT movie_id, CAST(normalized_rating AS double precision), rated_at"
            " FROM user_movie_ratings WHERE telegram_user_id = %s"
            f" UNION ALL SELECT movie_id, CASE WHEN seen THEN {SEEN} ELSE {DISMISSED} END, dismissed_at"
            " FROM dismissed_movies WHERE telegram_user_id = %s"
            f" UNION ALL SELECT movie_id, {LISTED}, added_at FROM watchlist WHERE telegram_user_id = %s",
            [user_id, user_id, user_id],
        )
        ratings = [row for row in rows if row[1] > 0]
        others = [row for row in rows if row[1] <= 0]
        dismissed = sorted((row for row in others if row[1] == DISMISSED), key=lambda row: (-row[2], row[0]))
        return cls(
            vector=user_vector(ratings, order_weight, [row[0] for row in dismissed]),
            liked=liked_movies(ratings),
            hidden=frozenset([row[0] for row in rows if row[1] != LISTED]),
            listed=frozenset([row[0] for row in others if row[1] == LISTED]),
            run_id=run_id,
            tmdb_weight=TMDB_WEIGHT * TMDB_HALF_USERS / (TMDB_HALF_USERS + users) if users < MAX_USERS_FOR_TMDB else 0,
        )


class CurrentRun(NamedTuple):
    """The columns of TrainingRun that scoring needs; 0 before the first run."""

    id: int = 0
    order_weight: float = 0.0
    total_users: int = 0


def current_run() -> CurrentRun:
    """TrainingRun.objects.current() without its other columns."""
    sql = (
        "SELECT id, order_weight, users + archive_users FROM training_runs"
        " WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1"
    )
    return next((CurrentRun(*row) for row in fetch_all(sql, [])), CurrentRun())


def recommend(
    user_id: int, count: int = PAGE, filters: Filters = NO_FILTERS, kept: Sequence[int] = (), told: Iterable[int] = ()
) -> list[Recommendation]:
    """The `count` best movies for a user after `kept`, those already in their list, best first; fewer at the end.

    `told`: the reasons given already beside those that follow.
    """
    profile = UserProfile.load(user_id)
    return with_reasons(profile, top_movies(profile, count, filters, kept), told)


def top_movies(
    profile: UserProfile, count: int, filters: Filters = NO_FILTERS, kept: Sequence[int] = ()
) -> dict[int, list[int]]:
    """{movie id: liked movies that speak for it, best first} of the `count` best movies for a user, best first.

    Of each ten, `kept` included, no more than two are of one series or director, unless there are no others.
    """
    for spare in (SPARE_CANDIDATES, MANY_SPARE_CANDIDATES):
        found = candidates(profile, count + spare, filters, frozenset(kept))
        known = facts_of([*kept, *found])
        pairs = series_pairs(profile.run_id, known)
        people = {movie_id: facts.directors for movie_id, facts in known.items()}
        chosen, are_diverse = diversify(kept, list(found), pairs, people, count, PAGE)
        if are_diverse or len(found) < count + spare:
            break
    return {movie_id: found[movie_id] for movie_id in chosen}


class Facts(NamedTuple):
    """What tells movies of one series or director."""

    title: str  # the original one
    directors: list[str]
    collection_id: int | None


def facts_of(movie_ids: Iterable[int]) -> dict[int, Facts]:
    sql = f"SELECT id, original_title, directors, collection_id FROM movies WHERE id {IN_PARAMETER[connection.vendor]}"
    return {row[0]: Facts(row[1] or "", names_in(row[2]), row[3]) for row in fetch_all(sql, [id_list(movie_ids)])}


def names_in(people: object) -> list[str]:
    """The names in a JSON column of people; SQLite returns its text."""
    rows = json.loads(people) if isinstance(people, str) else people
    named = (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
    return [str(row.get("original_name") or row.get("name")) for row in named]


# --- Reasons


def with_reasons(
    profile: UserProfile, movies: Mapping[int, Sequence[int]], told: Iterable[int] = ()
) -> list[Recommendation]:
    """Give each movie a reason of its own as far as there are enough; likeness where no neighbour speaks for it."""
    lacking = [movie_id for movie_id, reasons in movies.items() if not reasons]
    alike = alike_movies(profile, lacking) if lacking and profile.liked else {}
    used = set(told)
    recommended = []
    for movie_id, reasons in movies.items():
        reasons = reasons or alike.get(movie_id, ())
        because = next((one for one in reasons if one not in used), reasons[0] if reasons else None)
        recommended.append(Recommendation(movie_id, because))
        used |= {because} if because else set()
    return recommended


def alike_movies(profile: UserProfile, movie_ids: Iterable[int]) -> dict[int, list[int]]:
    """{movie id: liked movies of the same director, then of mostly the same genres} for movies without a neighbour."""
    liked = nlargest(MAX_ALIKE, profile.liked & profile.vector.keys(), key=profile.vector.__getitem__)
    sql = f"SELECT id, directors, genres FROM movies WHERE id {IN_PARAMETER[connection.vendor]}"
    rows = fetch_all(sql, [id_list([*liked, *movie_ids])])
    known = {
        row[0]: (set(names_in(row[1])), set(json.loads(row[2]) if isinstance(row[2], str) else row[2] or ()))
        for row in rows
    }

    def likeness(one: int, other: int) -> float:
        (directors, genres), (other_directors, other_genres) = known[one], known[other]
        shared = len(genres & other_genres) / len(genres | other_genres) if genres | other_genres else 0
        return shared + (directors & other_directors != set())

    found = {}
    for movie_id in known.keys() & set(movie_ids):
        scores = {other: likeness(movie_id, other) for other in liked if other in known}
        found[movie_id] = [one for one in nlargest(MAX_REASONS, scores, key=scores.__getitem__)
                           if scores[one] >= MIN_LIKENESS]  # fmt: skip
    return found


# --- Scores


class Contribution(NamedTuple):
    """What one movie of the user's vector adds to scores: weight * neighbour_weights[i] to neighbour_ids[i]."""

    source_id: int
    weight: float
    neighbour_ids: Sequence[int]
    neighbour_weights: Sequence[float]


def candidates(
    profile: UserProfile, count: int, filters: Filters, without: frozenset[int] = frozenset()
) -> dict[int, list[int]]:
    """{movie id: liked movies that speak for it} of the `count` best that are not hidden and meet the filters.

    First those with a positive score, then those with the best votes, last those with a score of 0 or less.
    """
    contributions = list(contributions_of(profile))
    scores = sum_scores(contributions)
    hidden = profile.hidden | without
    if filters.listed:
        wanted = {movie_id: scores.get(movie_id, 0.0) for movie_id in profile.listed - hidden}
        best = best_scored(wanted, count, filters)
        return explanations((one for one in contributions if one.source_id in profile.liked), best)
    hidden |= profile.listed
    for movie_id in hidden:
        scores.pop(movie_id, None)
    best = best_scored({movie_id: score for movie_id, score in scores.items() if score > 0}, count, filters)
    speaking = explanations((one for one in contributions if one.source_id in profile.liked), best)
    if len(best) < count:
        voted = [movie_id for movie_id in top_voted(filters) if movie_id not in hidden and movie_id not in speaking]
        existing = filters.among(voted)  # the cached list may name a movie that has been deleted
        best += [movie_id for movie_id in voted if movie_id in existing]
    if len(best) < count:
        others = {movie_id: score for movie_id, score in scores.items() if score <= 0 and movie_id not in set(best)}
        best += best_scored(others, count - len(best), filters)
    return {movie_id: speaking.get(movie_id, []) for movie_id in best[:count]}


def contributions_of(profile: UserProfile) -> Iterator[Contribution]:
    """What each movie of the user's vector contributes: by our own neighbours, then by TMDb's."""
    for movie_id, neighbours in neighbours_of(profile.run_id, profile.vector).items():
        yield Contribution(movie_id, profile.vector[movie_id], neighbours.ids, neighbours.weights)
    if profile.tmdb_weight:
        rows = fetch_all(
            "SELECT movie_id, recommended_id, place FROM tmdb_recommendations"
            f" WHERE movie_id {IN_PARAMETER[connection.vendor]} ORDER BY movie_id, place",
            [id_list(profile.vector)],
        )
        for movie_id, group in groupby(rows, itemgetter(0)):
            _ids, recommended_ids, places = zip(*group, strict=True)
            weights = [1 - place / (TMDB_PLACES + 1) for place in places]
            yield Contribution(movie_id, profile.vector[movie_id] * profile.tmdb_weight, recommended_ids, weights)


def sum_scores(contributions: Iterable[Contribution]) -> dict[int, float]:
    """{movie id: its score}."""
    scores: dict[int, float] = defaultdict(float)
    for _source_id, weight, neighbour_ids, neighbour_weights in contributions:
        for neighbour_id, neighbour_weight in zip(neighbour_ids, neighbour_weights, strict=True):
            scores[neighbour_id] += weight * neighbour_weight
    return scores


def best_scored(scores: Scores, count: int, filters: Filters) -> list[int]:
    """The `count` highest scores in `movies` that meet the filters, best first."""
    chosen: list[int] = []
    for batch in by_score(scores, 2 * count if filters == NO_FILTERS else FILTERED_BATCH):
        fitting = filters.among(batch)
        chosen += [movie_id for movie_id in batch if movie_id in fitting]
        if len(chosen) >= count:
            break
        if len(batch) == FILTERED_BATCH and (fitting := filters.all_ids() or set()):  # few meet them
            return nlargest(count, fitting & scores.keys(), key=scores.__getitem__)
    return chosen[:count]


def by_score(scores: Scores, first: int) -> Iterator[list[int]]:
    """All movies, best first, in batches; the `first` ones come without sorting all others."""
    if scores:
        yield nlargest(first, scores, key=scores.__getitem__)
    if len(scores) > first:
        others = sorted(scores, key=scores.__getitem__, reverse=True)[first:]
        for start in range(0, len(others), LOOKUP_BATCH):
            yield others[start : start + LOOKUP_BATCH]


def explanations(contributions: Iterable[Contribution], movie_ids: Iterable[int]) -> dict[int, list[int]]:
    """{movie id: up to MAX_REASONS sources that contribute most to it}, in the order of `movie_ids`."""
    sources: dict[int, list[tuple[float, int]]] = {movie_id: [] for movie_id in movie_ids}
    for source_id, weight, neighbour_ids, neighbour_weights in contributions:
        for neighbour_id in sources.keys() & neighbour_ids:
            score = weight * neighbour_weights[neighbour_ids.index(neighbour_id)]
            if score > 0:
                sources[neighbour_id].append((score, source_id))
    return {
        movie_id: [source_id for _score, source_id in nlargest(MAX_REASONS, found, key=itemgetter(0))]
        for movie_id, found in sources.items()
    }


# A list in one parameter: the statement's text is always the same, so the server parses and plans it once
# The same where there are thousands; SQLite then looks each up without sorting them first
MOVIES_IN_PARAMETER = {
    "postgresql": "movies WHERE id = ANY(%s)",
    "sqlite": "json_each(%s) AS wanted CROSS JOIN movies ON movies.id = wanted.value WHERE TRUE",
}
IN_PARAMETER = {"postgresql": "= ANY(%s)", "sqlite": "IN (SELECT value FROM json_each(%s))"}


def id_list(movie_ids: Iterable[int]) -> list[int] | str:
    """The parameter of IN_PARAMETER."""
    return list(movie_ids) if connection.vendor == "postgresql" else json.dumps(list(movie_ids))


class Neighbours(NamedTuple):
    """A row of SimilarMovies, decoded; the first `n_nearest` are the most similar, best first."""

    ids: array[int]
    weights: array[float]
    n_nearest: int


def neighbours_of(run_id: int, movie_ids: Iterable[int]) -> dict[int, Neighbours]:
    """{movie id: its neighbours}, in the order of `movie_ids`; without those that the run does not know."""
    rows = fetch_all(
        "SELECT movie_id, movie_ids, weights, nearest FROM similar_movies"
        f" WHERE run_id = %s AND movie_id {IN_PARAMETER[connection.vendor]}",
        [run_id, id_list(movie_ids)],
    )
    found = {row[0]: Neighbours(array("i", row[1]), array("f", row[2]), row[3]) for row in rows}
    return {movie_id: found[movie_id] for movie_id in movie_ids if movie_id in found}


def fetch_all(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows of a query; plain SQL, since here building Django's costs more than running it."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def top_voted(filters: Filters = NO_FILTERS) -> list[int]:
    """Ids of the movies with the best Bayesian mean of TMDb's votes, best first: three votes of 10 do not lead."""
    key = f"top voted:{filters.years}:{filters.minutes}:{sorted(filters.genres)}:{sorted(filters.without)}"
    key = key.replace(" ", "")
    if (movie_ids := cache.get(key)) is None:
        mean = (F("vote_count") * F("vote_average") + PRIOR_VOTES * PRIOR_MEAN) / (F("vote_count") + PRIOR_VOTES)
        movies = filters.movies().filter(vote_count__gt=0).order_by(ExpressionWrapper(-mean, FloatField()), "pk")
        movie_ids = list(movies.values_list("pk", flat=True)[:MAX_TOP_VOTED])
        if len(movie_ids) == MAX_TOP_VOTED:  # a new bot knows more of them every minute, and finds them quickly
            cache.set(key, movie_ids, LIST_TTL_SECONDS)
        elif filters.genres or filters.without:  # read from every movie
            cache.set(key, movie_ids, FILTERED_LIST_TTL_SECONDS)
    return list(movie_ids)


def series_pairs(run_id: int, known: Mapping[int, Facts]) -> set[Pair]:
    """Pairs of the movies of one series: in one collection, each other's nearest neighbours, or with similar titles."""
    pairs = {
        (movie_id, neighbour_id)
        for movie_id, neighbours in neighbours_of(run_id, known).items()
        for neighbour_id in neighbours.ids[: min(MAX_SERIES_RANK, neighbours.n_nearest)]
    }
    titles = {movie_id: facts.title for movie_id, facts in known.items()}
    first: dict[int, int] = {}  # movie of each collection
    collected = {
        (first.setdefault(facts.collection_id, movie_id), movie_id)
        for movie_id, facts in known.items()
        if facts.collection_id
    }
    return {pair for pair in pairs if pair[::-1] in pairs} | same_series(titles) | collected


# --- Without any rating, and from movie to movie


def movies_to_rate_first(user_id: int, kept: Sequence[int] = (), count: int = COLD_START_PAGE) -> list[int]:
    """Ids of `count` well-known movies to rate first, to follow `kept`; fewer where no more are known.

    Those of a page are as dissimilar as possible, so that the ratings distinguish tastes.
    """
    profile = UserProfile.load(user_id)
    movie_ids = list(candidates(profile, COLD_START_POOL, NO_FILTERS, frozenset(kept)))
    links = weights_between(profile.run_id, {*movie_ids, *kept})
    years = dict(Movie.objects.filter(pk__in=[*movie_ids, *kept]).values_list("pk", "year"))
    chosen = list(kept)

    def similarity_to_page(movie_id: int) -> float:
        on_page = chosen[len(chosen) // COLD_START_PAGE * COLD_START_PAGE :]
        decades = [(years.get(movie_id) or 0) // 10, *((years.get(other) or 0) // 10 for other in on_page)]
        same_decade = 0.01 * decades[1:].count(decades[0] or -1)
        return same_decade + sum(
            links.get((movie_id, other), 0.0) + links.get((other, movie_id), 0.0) for other in on_page
        )

    while movie_ids and len(chosen) < len(kept) + count:
        better_known = movie_ids[: len(movie_ids) // 2 + 1]
        best = min(better_known, key=lambda movie_id: round(similarity_to_page(movie_id), 6))
        chosen.append(best)
        movie_ids.remove(best)
    return chosen[len(kept) :]


def weights_between(run_id: int, movie_ids: set[int]) -> dict[Pair, float]:
    """{(movie id, neighbour id): weight} among these movies."""
    return {
        (movie_id, neighbour_id): weight
        for movie_id, neighbours in neighbours_of(run_id, movie_ids).items()
        for neighbour_id, weight in zip(neighbours.ids, neighbours.weights, strict=True)
        if neighbour_id in movie_ids
    }


def similar_movie_ids(movie_id: int) -> list[int]:
    """Ids of the movies most similar to one, best first; none where no training run knows it."""
    found = neighbours_of(current_run().id, [movie_id])
    return [id for neighbours in found.values() for id in neighbours.ids[: neighbours.n_nearest]]
