"""Statistics of a user's ratings, behind /stats; all ratings and means are on the scale 0.5-10."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from heapq import nlargest
from statistics import fmean
from typing import NamedTuple

from django.utils import timezone

from movies.cards import LATIN, in_language
from movies.models import Movie, MovieQuerySet
from ratings.models import Source

MIN_MOVIES_PER_DECADE = 3  # from which a decade's mean counts
MAX_OPINIONS = 3  # movies named on each side of TMDb's opinion
MIN_DIFFERENCE_POINTS = 1.5  # between a user's rating and TMDb's, for a movie to be named
MIN_VOTES = 10  # from which TMDb's mean of a movie counts
MAX_FAVOURITES = 6  # genres, directors and countries
MIN_MOVIES_OF_FAVOURITE = 2
PRIOR_MOVIES = 5  # imaginary ones at the user's mean: two films of a director do not lead by themselves
PICTURED_MOVIES = 6  # on the picture that people post


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


class Favourite(NamedTuple):
    """A genre (TMDb's id), a country (its code) or a director (by name) with the user's mean."""

    key: str | int
    mean: float
    movies: int


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
    kindness: float | None = None  # points by which the user rates higher than TMDb does, where that has votes
    genres: list[Favourite] = field(default_factory=list)  # the best liked first
    directors: list[Favourite] = field(default_factory=list)
    countries: list[Favourite] = field(default_factory=list)

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


def rated_movies(user_id: int, year: int | None = None) -> MovieQuerySet:
    """What a user has rated; in one year: only what has a real date.

    TMDb tells no dates: those of its ratings are when an import first saw them.
    """
    movies: MovieQuerySet = Movie.objects.rated_by(user_id)
    if year is None:
        return movies
    zone = timezone.get_default_timezone()
    first, end = (int(datetime(one, 1, 1, tzinfo=zone).timestamp()) for one in (year, year + 1))
    return movies.filter(ratings__source=Source.MANUAL, ratings__rated_at__gte=first, ratings__rated_at__lt=end)


def stats_of(user_id: int, year: int | None = None) -> Stats:
    """The statistics of a user's ratings, of all or of one year; one query."""
    rows = rated_movies(user_id, year).values_list(  # type: ignore[misc]  # the plugin sees no annotation of rated_by
        "user_rating", "year", "vote_average", "vote_count", "runtime", "title", "title_en", "genres", "countries",
        "directors",
    )  # fmt: skip
    stats = Stats()
    ratings: list[Decimal] = []
    opinions: list[Opinion] = []
    decades: dict[int, list[Decimal]] = {}
    genres, countries, directors = (defaultdict[str | int, list[Decimal]](list) for _kind in range(3))
    for rating, released, tmdb, votes, runtime, title, title_en, *lists in rows.iterator(chunk_size=2000):
        ratings.append(rating)
        stats.minutes += runtime or 0
        if released:
            decades.setdefault(released // 10 * 10, []).append(rating)
        if votes >= MIN_VOTES and tmdb:
            opinions.append(Opinion(in_language(title_en, title), rating, tmdb))
        for by_key, keys in ((genres, lists[0]), (countries, lists[1]), (directors, director_names(lists[2]))):
            for key in {one for one in keys or () if isinstance(one, str | int)}:
                by_key[key].append(rating)
    if not ratings:
        return stats
    stats.count, stats.mean, stats.by_value = len(ratings), float(fmean(ratings)), Counter(ratings)
    if decades:
        stats.by_decade = {decade: decades.get(decade, []) for decade in range(min(decades), max(decades) + 10, 10)}
    if opinions:
        stats.tmdb_mean = fmean(opinion.tmdb for opinion in opinions)
        stats.kindness = fmean(opinion.difference for opinion in opinions)
        stats.higher = farthest_from_tmdb(opinions, 1)
        stats.lower = farthest_from_tmdb(opinions, -1)
    stats.genres, stats.countries, stats.directors = (
        favourites(by_key, stats.mean) for by_key in (genres, countries, directors)
    )
    return stats


def director_names(people: object) -> list[str]:
    """The directors as `movies.directors` holds them, in the reader's language."""
    rows = [person for person in people if isinstance(person, dict)] if isinstance(people, list) else []
    names = [tuple(str(person.get(key) or "") for key in ("name", "original_name")) for person in rows]
    return [in_language(original if LATIN.search(original) else "", name) for name, original in names if name]


def favourites(by_key: Mapping[str | int, Sequence[Decimal]], mean: float) -> list[Favourite]:
    """The best liked first, of those with enough movies, by the mean that PRIOR_MOVIES draw towards the user's."""

    def score(one: Favourite) -> float:
        return (one.mean * one.movies + mean * PRIOR_MOVIES) / (one.movies + PRIOR_MOVIES)

    enough = (
        Favourite(key, float(fmean(ratings)), len(ratings))
        for key, ratings in by_key.items()
        if len(ratings) >= MIN_MOVIES_OF_FAVOURITE
    )
    return nlargest(MAX_FAVOURITES, enough, key=lambda one: (score(one), one.movies, str(one.key)))


def best_movies(user_id: int, year: int | None = None) -> list[Movie]:
    """The movies for the picture: rated highest, of equals those with a poster, then the best known."""
    # the plugin sees no annotation of rated_by
    best = rated_movies(user_id, year).order_by("-user_rating", "-poster_status", "-vote_count", "pk")  # type: ignore[misc]
    return list(best[:PICTURED_MOVIES])


def farthest_from_tmdb(opinions: list[Opinion], direction: int) -> list[Opinion]:
    """Up to MAX_OPINIONS above TMDb's mean (direction 1) or below it (-1), the farthest first."""
    far = [opinion for opinion in opinions if direction * opinion.difference >= MIN_DIFFERENCE_POINTS]
    return sorted(far, key=lambda opinion: (-direction * opinion.difference, opinion.title))[:MAX_OPINIONS]
