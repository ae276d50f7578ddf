"""Movies a user will like, with a reason for each: the neighbours of what they rated, by one query, added up.

New ratings count at once, since only the neighbours are trained at night (ratings.recommendations.training); no process
that answers users loads numpy. While the bot has few users, what TMDb recommends to who likes a rated movie counts too
(ratings.recommendations.cold_start); where neither says anything there are the movies with the best votes.

A movie that the user rated or dismissed is never recommended, nor one that is not in `movies`.
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import nlargest
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.db.models import ExpressionWrapper, F, FloatField

from movies.catalogue import CARD_SQL
from movies.models import Movie, MovieQuerySet
from ratings.recommendations.diversify import Pair, diversify, same_series
from ratings.recommendations.user_profile import liked_movies, user_vector

PAGE = 10  # movies at a time
LOOKUP_BATCH = 5000  # movies looked up in one statement
SPARE_CANDIDATES = 20  # beyond those shown, so that diversify() has a choice
MAX_SERIES_RANK = 2  # two movies among each other's nearest so many are of one series
PRIOR_VOTES, PRIOR_MEAN = 500, 6.5  # imaginary votes in the Bayesian mean of a movie's votes, and their value
MAX_TOP_VOTED = 500  # movies in the list of the best votes
TMDB_WEIGHT = 0.02  # of TMDb's first recommendation in a bot without users; never measured
TMDB_HALF_USERS = 25  # users at which the weight of TMDb's recommendations is half of that
MAX_USERS_FOR_TMDB = 250  # users from which they no longer count
TMDB_PLACES = 20  # a page of TMDb's recommendations
COLD_START_PAGE = 5  # movies offered at once to a user without ratings
COLD_START_POOL = 60  # the best-known movies from which those are selected
LIST_TTL_SECONDS = 3600  # of cached lists that are the same for all users

Range = tuple[int, int]  # both ends included
Scores = Mapping[int, float]  # {movie id: score}


@dataclass(frozen=True)
class Filters:
    """What the user wants to see now; None: no condition. A movie whose year or runtime is unknown meets none."""

    years: Range | None = None
    minutes: Range | None = None

    @property
    def ranges(self) -> dict[str, Range]:
        """{column of `movies`: its range}."""
        return {column: ends for column, ends in (("year", self.years), ("runtime", self.minutes)) if ends}

    def movies(self) -> MovieQuerySet:
        """All movies that meet the conditions."""
        return Movie.objects.filter(**{f"{column}__range": ends for column, ends in self.ranges.items()})

    def titles_of(self, movie_ids: Iterable[int]) -> dict[int, str]:
        """{movie id: original title} of those that are in `movies` and meet the conditions."""
        sql = f"SELECT id, original_title FROM movies WHERE title <> '' AND id {IN_PARAMETER[connection.vendor]}"
        values: list[Any] = [id_list(movie_ids)]
        for column, ends in self.ranges.items():
            sql += f" AND {column} BETWEEN %s AND %s"
            values += ends
        return dict(fetch_all(sql, values))


NO_FILTERS = Filters()


@dataclass(frozen=True)
class Recommendation:
    """A movie, and the liked movie that contributes most to its score; `because` None: it is popular."""

    movie: Movie
    because: Movie | None


@dataclass(frozen=True)
class UserProfile:
    """What a user's recommendations are computed from."""

    vector: dict[int, float]  # user_profile.user_vector()
    liked: frozenset[int]  # movies that may be given as a reason
    hidden: frozenset[int]  # rated or dismissed movies
    run_id: int  # the training run whose neighbours serve; 0: none yet
    tmdb_weight: float  # of TMDb's first recommendation; 0: they do not count

    @classmethod
    def load(cls, user_id: int) -> UserProfile:
        run_id, order_weight, users = current_run()
        rows = fetch_all(
            "SELECT movie_id, CAST(normalized_rating AS double precision), rated_at"
            " FROM user_movie_ratings WHERE telegram_user_id = %s"
            " UNION ALL SELECT movie_id, NULL, dismissed_at FROM dismissed_movies WHERE telegram_user_id = %s",
            [user_id, user_id],
        )
        ratings = [row for row in rows if row[1] is not None]
        dismissed = sorted((row for row in rows if row[1] is None), key=lambda row: (-row[2], row[0]))
        return cls(
            vector=user_vector(ratings, order_weight, [row[0] for row in dismissed]),
            liked=liked_movies(ratings),
            hidden=frozenset(row[0] for row in rows),
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


def recommend(user_id: int, page: int = 0, filters: Filters = NO_FILTERS) -> tuple[list[Recommendation], bool]:
    """(Recommendations of a page counted from 0, whether there are more); none for a page past the last."""
    top = top_movies(UserProfile.load(user_id), (page + 1) * PAGE + 1, filters)
    shown = dict(list(top.items())[page * PAGE : (page + 1) * PAGE])
    reasons = {candidate.because for candidate in shown.values() if candidate.because is not None}
    movies = load_movies(user_id, {*shown, *reasons})
    recommended = [
        Recommendation(movies[movie_id], movies.get(candidate.because) if candidate.because is not None else None)
        for movie_id, candidate in shown.items()
        if movie_id in movies
    ]
    return recommended, len(top) > (page + 1) * PAGE


def load_movies(user_id: int, movie_ids: Collection[int]) -> dict[int, Movie]:
    """{id: Movie with the user's `user_rating`} of those that are in `movies`."""
    sql = f"{CARD_SQL}movies.id {IN_PARAMETER[connection.vendor]}"
    movies = {movie.pk: movie for movie in Movie.objects.raw(sql, [user_id, user_id, id_list(movie_ids)])}
    for movie in movies.values():
        if movie.user_rating is not None:
            movie.user_rating = Decimal(str(movie.user_rating))  # SQLite returns a float or an int
    return movies


def top_movies(profile: UserProfile, count: int, filters: Filters = NO_FILTERS) -> dict[int, Candidate]:
    """{movie id: Candidate} of the `count` best movies for a user, best first, each page of them diversified."""
    found = candidates(profile, count + SPARE_CANDIDATES, filters)
    pairs = series_pairs(profile.run_id, {movie_id: candidate.title for movie_id, candidate in found.items()})
    remaining, chosen = list(found), list[int]()
    while remaining and len(chosen) < count:
        page = diversify(remaining, pairs, PAGE)
        chosen += page
        remaining = [movie_id for movie_id in remaining if movie_id not in set(page)]
    return {movie_id: found[movie_id] for movie_id in chosen[:count]}


# --- Scores


class Candidate(NamedTuple):
    """Why a movie is recommended, and its original title."""

    because: int | None  # id of the liked movie that contributes most; None: only popularity speaks for it
    title: str


class Contribution(NamedTuple):
    """What one movie of the user's vector adds to scores: weight * neighbour_weights[i] to neighbour_ids[i]."""

    source_id: int
    weight: float
    neighbour_ids: Sequence[int]
    neighbour_weights: Sequence[float]


def candidates(profile: UserProfile, count: int, filters: Filters) -> dict[int, Candidate]:
    """The `count` best movies that are neither rated nor dismissed and meet the filters, best first.

    First those with a positive score, then those with the best votes, last those with a score of 0 or less.
    """
    contributions = list(contributions_of(profile))
    scores = sum_scores(contributions)
    for movie_id in profile.hidden:
        scores.pop(movie_id, None)
    titles = best_scored({movie_id: score for movie_id, score in scores.items() if score > 0}, count, filters)
    because = explanations((one for one in contributions if one.source_id in profile.liked), titles)
    if len(titles) < count:
        voted = [movie_id for movie_id in top_voted(filters) if movie_id not in profile.hidden | titles.keys()]
        existing = filters.titles_of(voted)  # the cached list may name a movie that has been deleted
        titles |= {movie_id: existing[movie_id] for movie_id in voted if movie_id in existing}
    if len(titles) < count:
        others = {movie_id: score for movie_id, score in scores.items() if score <= 0 and movie_id not in titles}
        titles |= best_scored(others, count - len(titles), filters)
    return {movie_id: Candidate(because.get(movie_id), title) for movie_id, title in list(titles.items())[:count]}


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


def best_scored(scores: Scores, count: int, filters: Filters) -> dict[int, str]:
    """{movie id: original title} of the `count` highest scores in `movies` that meet the filters, best first."""
    chosen: dict[int, str] = {}
    for batch in by_score(scores, 2 * count):
        titles = filters.titles_of(batch)
        chosen |= {movie_id: titles[movie_id] for movie_id in batch if movie_id in titles}
        if len(chosen) >= count:
            break
    return dict(list(chosen.items())[:count])


def by_score(scores: Scores, first: int) -> Iterator[list[int]]:
    """All movies, best first, in batches; the `first` ones come without sorting all others."""
    if scores:
        yield nlargest(first, scores, key=scores.__getitem__)
    if len(scores) > first:
        others = sorted(scores, key=scores.__getitem__, reverse=True)[first:]
        for start in range(0, len(others), LOOKUP_BATCH):
            yield others[start : start + LOOKUP_BATCH]


def explanations(contributions: Iterable[Contribution], movie_ids: Iterable[int]) -> dict[int, int | None]:
    """{movie id: the source that contributes most to it, or None}, in the order of `movie_ids`."""
    sources: dict[int, int | None] = dict.fromkeys(movie_ids)
    largest = dict.fromkeys(sources, 0.0)
    for source_id, weight, neighbour_ids, neighbour_weights in contributions:
        for neighbour_id in sources.keys() & neighbour_ids:
            score = weight * neighbour_weights[neighbour_ids.index(neighbour_id)]
            if score > largest[neighbour_id]:
                largest[neighbour_id], sources[neighbour_id] = score, source_id
    return sources


# A list in one parameter: the statement's text is always the same, so the server parses and plans it once
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
    key = f"top voted:{filters.years}:{filters.minutes}".replace(" ", "")
    if (movie_ids := cache.get(key)) is None:
        mean = (F("vote_count") * F("vote_average") + PRIOR_VOTES * PRIOR_MEAN) / (F("vote_count") + PRIOR_VOTES)
        movies = filters.movies().filter(vote_count__gt=0).order_by(ExpressionWrapper(-mean, FloatField()), "pk")
        movie_ids = list(movies.values_list("pk", flat=True)[:MAX_TOP_VOTED])
        if len(movie_ids) == MAX_TOP_VOTED:  # a new bot knows more of them every minute, and finds them quickly
            cache.set(key, movie_ids, LIST_TTL_SECONDS)
    return list(movie_ids)


def series_pairs(run_id: int, titles: dict[int, str]) -> set[Pair]:
    """Pairs of the movies, {id: title}, of one series: each other's nearest neighbours, or with similar titles."""
    pairs = {
        (movie_id, neighbour_id)
        for movie_id, neighbours in neighbours_of(run_id, titles).items()
        for neighbour_id in neighbours.ids[: min(MAX_SERIES_RANK, neighbours.n_nearest)]
    }
    return {pair for pair in pairs if pair[::-1] in pairs} | same_series(titles)


# --- Without any rating, and from movie to movie


def movies_to_rate_first(user_id: int, page: int = 0) -> tuple[list[Movie], bool]:
    """(COLD_START_PAGE well-known movies to rate first, whether there are more pages).

    Those of a page are as dissimilar as possible, so that the ratings distinguish tastes.
    """
    profile = UserProfile.load(user_id)
    movie_ids = list(candidates(profile, COLD_START_POOL, NO_FILTERS))
    links = weights_between(profile.run_id, set(movie_ids))
    movies = Movie.objects.with_user_rating(user_id).in_bulk(movie_ids)
    remaining = [movies[movie_id] for movie_id in movie_ids if movie_id in movies]
    chosen: list[Movie] = []
    while remaining and len(chosen) < COLD_START_PAGE * (page + 1):

        def similarity_to_page(movie: Movie) -> float:
            on_page = chosen[len(chosen) // COLD_START_PAGE * COLD_START_PAGE :]
            same_decade = sum(
                0.01 for other in on_page if movie.year and other.year and movie.year // 10 == other.year // 10
            )
            return same_decade + sum(
                links.get((movie.pk, other.pk), 0.0) + links.get((other.pk, movie.pk), 0.0) for other in on_page
            )

        better_known = remaining[: len(remaining) // 2 + 1]
        best = min(better_known, key=lambda movie: round(similarity_to_page(movie), 6))
        chosen.append(best)
        remaining.remove(best)
    return chosen[COLD_START_PAGE * page :], bool(remaining)


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
