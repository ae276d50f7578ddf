"""What a person's ratings say of their taste, in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import fmean

from movies.models import Movie

ENOUGH = 3  # films of a decade from which its mean says something
MOST_NAMED = 3  # films named on each side of TMDb's opinion
FAR = 1.5  # points between a person's rating and TMDb's from which the difference is worth naming
VOTES = 10  # votes from which TMDb's mean of a film counts


@dataclass(frozen=True)
class Opinion:
    """A film that the person rates otherwise than TMDb's visitors do."""

    title: str
    mine: Decimal
    tmdb: float


@dataclass
class Stats:
    """Figures about one person's ratings, all on the scale of 0.5-10."""

    count: int = 0
    mean: float = 0
    by_value: Counter = field(default_factory=Counter)  # {rating: films}
    by_decade: dict[int, list[Decimal]] = field(default_factory=dict)  # {1990: ratings}, in order, gaps filled
    minutes: int = 0  # of the films whose length is known
    tmdb_mean: float | None = None  # of the same films, as far as TMDb has votes
    difference: float | None = None  # the person's mean less TMDb's, over the films that both have rated
    higher: list[Opinion] = field(default_factory=list)
    lower: list[Opinion] = field(default_factory=list)

    @property
    def favourite(self) -> tuple[Decimal, int]:
        """The (rating, films) given most often, the higher of equals."""
        return max(self.by_value.items(), key=lambda one: (one[1], one[0]))

    @property
    def best_decade(self) -> tuple[int, float, int] | None:
        """The (decade, mean, films) rated highest among those with enough films; None without a choice."""
        means = [
            (fmean(values), decade, len(values)) for decade, values in self.by_decade.items() if len(values) >= ENOUGH
        ]
        if len(means) < 2:
            return None
        mean, decade, films = max(means)
        return decade, mean, films


def stats_of(user_id: int):
    """The Stats of a person; one query."""
    films = Movie.objects.rated_by(user_id).values_list(
        "mine", "year", "vote_average", "vote_count", "runtime", "title"
    )
    stats, values, compared, decades = Stats(), [], [], {}
    for mine, year, tmdb, votes, runtime, title in films.iterator(chunk_size=2000):
        values.append(mine)
        stats.minutes += runtime or 0
        if year:
            decades.setdefault(year // 10 * 10, []).append(mine)
        if votes >= VOTES and tmdb:
            compared.append(Opinion(title, mine, tmdb))
    if not values:
        return stats
    stats.count, stats.mean, stats.by_value = len(values), float(fmean(values)), Counter(values)
    if decades:
        stats.by_decade = {decade: decades.get(decade, []) for decade in range(min(decades), max(decades) + 10, 10)}
    if compared:
        stats.tmdb_mean = fmean(film.tmdb for film in compared)
        stats.difference = fmean(float(film.mine) - film.tmdb for film in compared)
        stats.higher = far_off(compared, 1)
        stats.lower = far_off(compared, -1)
    return stats


def far_off(films, side):
    """The films on one side of TMDb's opinion that are farthest from it."""
    distance = {id(film): side * (float(film.mine) - film.tmdb) for film in films}
    far = sorted(
        (film for film in films if distance[id(film)] >= FAR), key=lambda film: (-distance[id(film)], film.title)
    )
    return far[:MOST_NAMED]
