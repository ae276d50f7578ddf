"""Statistics of a user's ratings, behind /stats; all ratings and means are on the scale 0.5-10."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import fmean
from typing import NamedTuple

from movies.cards import in_language
from movies.models import Movie

MIN_MOVIES_PER_DECADE = 3  # from which a decade's mean counts
MAX_OPINIONS = 3  # movies named on each side of TMDb's opinion
MIN_DIFFERENCE_POINTS = 1.5  # between a user's rating and TMDb's, for a movie to be named
MIN_VOTES = 10  # from which TMDb's mean of a movie counts


class RatingCount(NamedTuple):
    rating: Decimal
    movies: int


class DecadeMean(NamedTuple):
    decade: int
    mean: float
    movies: int


@dataclass(frozen=True)
class Opinion:
    """A movie with the user's rating and the mean of TMDb's votes."""

    title: str
    user_rating: Decimal
    tmdb: float

    @property
    def difference(self) -> float:
        return float(self.user_rating) - self.tmdb


@dataclass
class Stats:
    """Statistics of one user's ratings."""

    count: int = 0
    mean: float = 0
    by_value: Counter[Decimal] = field(default_factory=Counter)  # {rating: movies}
    by_decade: dict[int, list[Decimal]] = field(default_factory=dict)  # {1990: ratings}, ascending, without gaps
    minutes: int = 0  # of the movies whose runtime is known
    tmdb_mean: float | None = None  # TMDb's, of those of the movies that have votes
    higher: list[Opinion] = field(default_factory=list)
    lower: list[Opinion] = field(default_factory=list)

    @property
    def favourite(self) -> RatingCount:
        """The rating given most often, the higher of equals."""
        return RatingCount(*max(self.by_value.items(), key=lambda item: (item[1], item[0])))

    @property
    def best_decade(self) -> DecadeMean | None:
        """The decade with the highest mean; None where fewer than two have enough movies."""
        means = [
            (fmean(ratings), decade, len(ratings))
            for decade, ratings in self.by_decade.items()
            if len(ratings) >= MIN_MOVIES_PER_DECADE
        ]
        if len(means) < 2:
            return None
        mean, decade, movies = max(means)
        return DecadeMean(decade, mean, movies)


def stats_of(user_id: int) -> Stats:
    """The statistics of a user's ratings; one query."""
    rows = Movie.objects.rated_by(user_id).values_list(  # type: ignore[misc]  # the plugin sees no annotation of rated_by
        "user_rating", "year", "vote_average", "vote_count", "runtime", "title", "title_en"
    )
    stats = Stats()
    ratings: list[Decimal] = []
    opinions: list[Opinion] = []
    decades: dict[int, list[Decimal]] = {}
    for rating, year, tmdb, votes, runtime, title, title_en in rows.iterator(chunk_size=2000):
        ratings.append(rating)
        stats.minutes += runtime or 0
        if year:
            decades.setdefault(year // 10 * 10, []).append(rating)
        if votes >= MIN_VOTES and tmdb:
            opinions.append(Opinion(in_language(title_en, title), rating, tmdb))
    if not ratings:
        return stats
    stats.count, stats.mean, stats.by_value = len(ratings), float(fmean(ratings)), Counter(ratings)
    if decades:
        stats.by_decade = {decade: decades.get(decade, []) for decade in range(min(decades), max(decades) + 10, 10)}
    if opinions:
        stats.tmdb_mean = fmean(opinion.tmdb for opinion in opinions)
        stats.higher = farthest_from_tmdb(opinions, 1)
        stats.lower = farthest_from_tmdb(opinions, -1)
    return stats


def farthest_from_tmdb(opinions: list[Opinion], direction: int) -> list[Opinion]:
    """Up to MAX_OPINIONS above TMDb's mean (direction 1) or below it (-1), the farthest first."""
    far = [opinion for opinion in opinions if direction * opinion.difference >= MIN_DIFFERENCE_POINTS]
    return sorted(far, key=lambda opinion: (-direction * opinion.difference, opinion.title))[:MAX_OPINIONS]
