"""Movies for several people at once, for a pair or a group: what none of them has rated or dismissed.

Each person's scores are divided by the highest of them, so that nobody counts more for having rated more. A person
without ratings is neutral: they say only what they have dismissed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from heapq import nlargest
from statistics import fmean

from ratings.recommendations.diversify import diversify
from ratings.recommendations.recommender import (
    LOOKUP_BATCH,
    NO_FILTERS,
    PAGE,
    SPARE_CANDIDATES,
    Filters,
    Scores,
    UserProfile,
    contributions_of,
    facts_of,
    series_pairs,
    sum_scores,
    top_voted,
)

POOL = 300  # best movies of each person, among which the common ones are looked for
MAX_MOVIES = 80  # of each person's vector that count; all of them would take twice as long for eight people
MIN_PLEASURE = 0.1  # of each one's best movie: what pleases somebody less comes after all else

Pleasures = Sequence[float]  # of one movie: each person's score, as a part of their highest


def recommend_together(user_ids: Collection[int], count: int, filters: Filters = NO_FILTERS) -> list[int]:
    """Ids of up to `count` movies, best first: by everybody's taste, with a floor for the least pleased."""

    def worth(pleasures: Pleasures) -> tuple[bool, float]:
        return (min(pleasures) >= MIN_PLEASURE, fmean(pleasures) + min(pleasures))

    return _together(user_ids, count, filters, worth)


def recommend_for_two(one_id: int, other_id: int, count: int, filters: Filters = NO_FILTERS) -> list[int]:
    """Ids of up to `count` movies for two people, best first: what the less pleased of the two likes best."""
    return _together([one_id, other_id], count, filters, lambda pleasures: (min(pleasures), fmean(pleasures)))


def _together(
    user_ids: Collection[int], count: int, filters: Filters, worth: Callable[[Pleasures], tuple[float, float]]
) -> list[int]:
    profiles = [UserProfile.load(user_id) for user_id in sorted(user_ids)]
    hidden = frozenset[int]().union(*(profile.hidden for profile in profiles))
    tastes = [scores for profile in profiles if profile.liked and (scores := relative_scores(profile, hidden))]
    pool = {movie_id for scores in tastes for movie_id in nlargest(POOL, scores, key=scores.__getitem__)}
    worths = {movie_id: worth([scores.get(movie_id, 0.0) for scores in tastes]) for movie_id in pool}
    ranked = sorted(pool, key=lambda movie_id: (worths[movie_id], -movie_id), reverse=True)
    best: list[int] = []
    for batch in _batches(ranked, hidden, filters):
        fitting = filters.among(batch)
        best += [movie_id for movie_id in batch if movie_id in fitting and movie_id not in best]
        if len(best) >= count + SPARE_CANDIDATES:
            break
    best = best[: count + SPARE_CANDIDATES]
    known = facts_of(best)
    pairs = series_pairs(profiles[0].run_id, known) if best else set()
    people = {movie_id: facts.directors for movie_id, facts in known.items()}
    return diversify((), best, pairs, people, count, PAGE)[0]


def relative_scores(profile: UserProfile, hidden: Collection[int]) -> Scores:
    """{movie id: this person's score as a part of their highest}, of what nobody has seen; only what they may like."""
    telling = nlargest(MAX_MOVIES, profile.vector, key=lambda movie_id: abs(profile.vector[movie_id]))
    vector = {movie_id: profile.vector[movie_id] for movie_id in telling}
    scores = sum_scores(contributions_of(replace(profile, vector=vector)))
    seen = {movie_id: score for movie_id, score in scores.items() if score > 0 and movie_id not in hidden}
    highest = max(seen.values(), default=0.0)
    return {movie_id: score / highest for movie_id, score in seen.items()}


def _batches(ranked: Sequence[int], hidden: Collection[int], filters: Filters) -> Iterator[Sequence[int]]:
    """What the tastes say, then, where that is not enough, what most people like."""
    for start in range(0, len(ranked), LOOKUP_BATCH):
        yield ranked[start : start + LOOKUP_BATCH]
    yield [movie_id for movie_id in top_voted(filters) if movie_id not in hidden]
