"""Which film of the list is for the user tonight: the recommender's scores, a weighed choice, and what was picked."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from ratings.models import WatchlistEntry
from ratings.recommendations.recommender import UserProfile, contributions_of, sum_scores

HALF_WEIGHT_SHARE = 0.2  # of the list: a film so far down from the best is chosen half as often


def scores(user_id: int, movie_ids: Sequence[int]) -> dict[int, float]:
    """What the recommender thinks of each movie for this user; 0 where it knows nothing."""
    known = sum_scores(contributions_of(UserProfile.load(user_id)))
    return {movie_id: known.get(movie_id, 0.0) for movie_id in movie_ids}


def choose(user_id: int, movie_ids: Sequence[int], shown: int = 0) -> int | None:
    """One of these movies of the user's list, the likelier the better they score; noted as picked.

    Neither the one that was picked last nor the one that is `shown`, unless there is no other.
    """
    latest = WatchlistEntry.objects.filter(user_id=user_id, picked_at__isnull=False).order_by("-picked_at").first()
    last = latest.movie_id if latest else 0
    others = [one for one in movie_ids if one not in (last, shown)]
    others = others or [one for one in movie_ids if one != last] or list(movie_ids)
    if not others:
        return None
    by_id = scores(user_id, others)
    best_first = sorted(others, key=lambda movie_id: -by_id[movie_id])
    half = max(1.0, len(best_first) * HALF_WEIGHT_SHARE)
    weights = [0.5 ** (place / half) for place in range(len(best_first))]
    movie_id = random.choices(best_first, weights)[0]  # noqa: S311 - no secret
    picked(user_id, movie_id)
    return movie_id


def picked(user_id: int, movie_id: int) -> None:
    """Note that the user was shown this movie of their list, or opened it, with a view to seeing it."""
    WatchlistEntry.objects.filter(user_id=user_id, movie_id=movie_id).update(picked_at=int(time.time()))
