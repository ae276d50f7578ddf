"""The taste match of two users, and the link by which one consents to it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from ratings.models import MatchLink, Rating

if TYPE_CHECKING:
    from users.models import User

LINK_TTL_SECONDS = 7 * 86_400
MIN_COMMON = 5  # movies in common below which a percentage would mean nothing
PRIOR_MOVIES = 5  # imaginary movies in common without any correlation
MAX_SIMILAR_POINTS = 2  # mean difference of two users' ratings from which on they are not similar
NOISE_VARIANCE = 0.25  # square points: by what a rating varies without meaning anything


class TooFewInCommon(Exception):
    """The two have rated fewer than MIN_COMMON movies in common."""

    def __init__(self, common: int) -> None:
        super().__init__(common)
        self.common = common


@dataclass(frozen=True)
class TasteMatch:
    """`percent` 0-100, 50 for no correlation; `common` movies; ids of one both love and one they differ about."""

    percent: int
    common: int
    both_love: int | None
    differ: int | None


def create_link(user: User) -> str:
    """A token by which others may compare tastes with this user; an earlier one stops working."""
    values = {"token": secrets.token_urlsafe(16), "created_at": int(time.time())}
    link, _created = MatchLink.objects.update_or_create(user=user, defaults=values)
    return link.token


def link_owner(token: str) -> int | None:
    """The id of the user whose link this is; None where it has expired or been deleted."""
    link = MatchLink.objects.filter(token=token, created_at__gt=int(time.time()) - LINK_TTL_SECONDS).first()
    return link.user_id if link else None


def delete_link(user_id: int, token: str) -> bool:
    """Delete this link of the user; whether they have another, newer one."""
    MatchLink.objects.filter(user_id=user_id, token=token).delete()
    return MatchLink.objects.filter(user_id=user_id).exists()


def match_tastes(one_id: int, other_id: int) -> TasteMatch:
    """Compare two users by the movies both have rated: the correlation of their ratings as a percentage.

    Each rating counts by its deviation from its user's own mean, so that a strict and a kind user of one taste match.
    Where ratings hardly vary there is little to correlate, and it counts how near they are to each other: two users
    who give nothing but 10s match. Raises TooFewInCommon.
    """
    mine, theirs = ratings_of(one_id), ratings_of(other_id)
    one, other = deviations(mine), deviations(theirs)
    common = sorted(one.keys() & other.keys())
    if len(common) < MIN_COMMON:
        raise TooFewInCommon(len(common))
    covariance = sum(one[movie_id] * other[movie_id] for movie_id in common)
    size = sqrt(sum(one[movie_id] ** 2 for movie_id in common) * sum(other[movie_id] ** 2 for movie_id in common))
    difference = sum(abs(mine[movie_id] - theirs[movie_id]) for movie_id in common) / len(common)
    similarity, noise = max(0.0, 1 - difference / MAX_SIMILAR_POINTS), NOISE_VARIANCE * len(common)
    correlation = (covariance + noise * similarity) / (size + noise)
    percent = round(50 + 50 * correlation * len(common) / (len(common) + PRIOR_MOVIES))
    love = max(common, key=lambda movie_id: (min(one[movie_id], other[movie_id]), -movie_id))
    differ = max(common, key=lambda id: (-one[id] * other[id], abs(one[id] - other[id]), -id))
    return TasteMatch(
        percent=percent,
        common=len(common),
        both_love=love if min(one[love], other[love]) > 0 else None,
        differ=differ if one[differ] * other[differ] < 0 else None,
    )


def ratings_of(user_id: int) -> dict[int, float]:
    """{movie id: the user's rating, 1-10}."""
    rows = Rating.objects.filter(user_id=user_id).values_list("movie_id", "normalized_rating")
    return {movie_id: float(rating) for movie_id, rating in rows}


def deviations(ratings: dict[int, float]) -> dict[int, float]:
    """{movie id: the rating less the mean of all these}."""
    mean = sum(ratings.values()) / len(ratings) if ratings else 0.0
    return {movie_id: rating - mean for movie_id, rating in ratings.items()}
