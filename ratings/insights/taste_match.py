"""The taste match of two users, and the link by which one consents to it.

What is told must not reveal, movie by movie, what the other has rated. So it is coarse: steps of 5 %, no number of
movies below 25 and none exactly. And it stands: for a day whatever either rates, and then until CHANGES movies in
common are new or have another rating, or a week has passed.
"""

from __future__ import annotations

import secrets
import time
from bisect import bisect_right
from dataclasses import asdict, dataclass, replace
from math import sqrt

from django.db import transaction
from django.db.models import Q
from django.utils.crypto import salted_hmac

from ratings.models import MatchLink, MatchResult, Rating
from ratings.recommendations.group import recommend_for_two
from users.models import User

TOGETHER = 20  # movies to see together
LINK_TTL_SECONDS = 7 * 86_400
MIN_COMMON = 5  # movies in common below which a percentage would mean nothing
PRIOR_MOVIES = 5  # imaginary movies in common without any correlation
PERCENT_STEP = 5
COMMON_STEPS = [25, 50, 100, 200, 500, 1000]  # "more than so many films" is all that is told of their number
CHECK_SECONDS = 86_400  # a result stands
CHANGES = 5  # movies in common, new or with another rating, from which on it may be another
RESULT_TTL_SECONDS = 7 * 86_400
MAX_SIMILAR_POINTS = 2  # mean difference of two users' ratings from which on they are not similar
LOVED_RATING = 7  # from which on who rates all films alike loves them
NOISE_VARIANCE = 0.25  # square points: by what a rating varies without meaning anything


class TooFewRated(Exception):
    """The visitor has rated fewer than MIN_COMMON movies: nothing was compared."""


class ComparedToday(Exception):
    """One of the two has been deleted and came back within the day: there is nothing to tell before tomorrow."""


@dataclass(frozen=True)
class TasteMatch:
    """`common` movies; `percent` 0-100, 50 for no correlation; ids of two both love and of one they differ about.

    `together`: ids of movies that neither has seen, best first. All but `common` are None where fewer than MIN_COMMON
    are.
    """

    common: int
    percent: int | None = None
    both_love: int | None = None
    both_love_too: int | None = None
    differ: int | None = None
    together: list[int] | None = None

    @property
    def more_than(self) -> int | None:
        """The number of movies in common as it may be told; None for few."""
        step = bisect_right(COMMON_STEPS, self.common - 1)
        return COMMON_STEPS[step - 1] if step else None


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


def match_tastes(visitor_id: int, owner_id: int) -> TasteMatch:
    """What the two are told, from whichever link. Raises TooFewRated, ComparedToday and User.DoesNotExist."""
    if Rating.objects.filter(user_id=visitor_id).count() < MIN_COMMON:
        raise TooFewRated
    pair, now = pair_key(visitor_id, owner_id), int(time.time())
    with transaction.atomic():
        one, other = lock_users(visitor_id, owner_id)
        result = MatchResult.objects.filter(pair=pair).first()
        deleted = result is not None and None in (result.one_id, result.other_id)
        if result and 0 <= now - result.checked_at < CHECK_SECONDS:
            if deleted:
                raise ComparedToday
            return told(result)
        match = compute_match(one.pk, other.pk)
        if match.percent is not None:
            match = replace(match, together=recommend_for_two(one.pk, other.pk, TOGETHER))
        if result and not deleted and result.percent is not None and still_stands(result, match, now):
            MatchResult.objects.filter(pair=pair).update(checked_at=now)
            return told(result)
        values = {"one": one, "other": other, "checked_at": now, "computed_at": now, "owner_told": False}
        MatchResult.objects.update_or_create(pair=pair, defaults=values | asdict(match))
    return match


def lock_users(*ids: int) -> list[User]:
    """Lock the rows of these users, in the order of their ids. Raises User.DoesNotExist."""
    users = list(User.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))
    if len(users) < len(ids):
        raise User.DoesNotExist
    return users


def pair_key(one_id: int, other_id: int) -> str:
    """Names two users to this installation only."""
    low, high = sorted((one_id, other_id))
    return salted_hmac("ratings.match", f"{low}:{high}", algorithm="sha256").hexdigest()


def told(result: MatchResult) -> TasteMatch:
    return TasteMatch(result.common or 0, **{name: getattr(result, name) for name in MatchResult.RESULT[1:]})


def still_stands(result: MatchResult, match: TasteMatch, now: int) -> bool:
    """Whether too little has changed for another result: the change would tell which movie made it."""
    mine, theirs = (Rating.objects.filter(user=user) for user in (result.one, result.other))
    rated_anew = (mine | theirs).filter(rated_at__gt=result.computed_at)
    rated_anew = rated_anew.filter(movie_id__in=mine.values("movie_id")).filter(movie_id__in=theirs.values("movie_id"))
    changes = max(abs(match.common - (result.common or 0)), rated_anew.values("movie_id").distinct().count())
    return changes < CHANGES and 0 <= now - result.computed_at < RESULT_TTL_SECONDS


def result_of(user_id: int, pair: str) -> MatchResult | None:
    """A result of this user's that still stands, by the beginning of its pair's name."""
    if not pair:  # of a carousel whose row is gone: any pair's name begins so
        return None
    results = MatchResult.objects.filter(pair__startswith=pair, one__isnull=False, other__isnull=False)
    mine = results.filter(Q(one_id=user_id) | Q(other_id=user_id)).exclude(percent=None)
    return mine.select_related("one", "other").first()


def delete_old_results() -> int:
    """Delete the results that no longer stand; returns how many."""
    return MatchResult.objects.filter(computed_at__lte=int(time.time()) - RESULT_TTL_SECONDS).delete()[0]


def claim_notification(visitor_id: int, owner_id: int, claimed: bool = True) -> bool:
    """Whether the owner has still to be told of this result; `claimed` False gives the claim back."""
    result = MatchResult.objects.filter(pair=pair_key(visitor_id, owner_id), owner_told=not claimed)
    return bool(result.update(owner_told=claimed))


def compute_match(one_id: int, other_id: int) -> TasteMatch:
    """Compare two users by the movies both have rated: the correlation of their ratings as a percentage.

    Each rating counts by its deviation from its user's own mean, so that a strict and a kind user of one taste match.
    Where ratings hardly vary there is little to correlate, and it counts how near they are to each other: two users
    who give nothing but 10s match. The fewer the movies and the weaker the correlation, the nearer it is drawn to 50 %,
    as its standard error grows with both; a complete one stays complete.
    """
    mine, theirs = ratings_of(one_id), ratings_of(other_id)
    one, other = deviations(mine), deviations(theirs)
    common = sorted(one.keys() & other.keys())
    if len(common) < MIN_COMMON:
        return TasteMatch(len(common))
    covariance = sum(one[movie_id] * other[movie_id] for movie_id in common)
    size = sqrt(sum(one[movie_id] ** 2 for movie_id in common) * sum(other[movie_id] ** 2 for movie_id in common))
    difference = sum(abs(mine[movie_id] - theirs[movie_id]) for movie_id in common) / len(common)
    similarity, noise = max(0.0, 1 - difference / MAX_SIMILAR_POINTS), NOISE_VARIANCE * len(common)
    correlation = (covariance + noise * similarity) / (size + noise)
    certainty = len(common) / (len(common) + PRIOR_MOVIES * (1 - correlation**2))
    loved = sorted(common, key=lambda movie_id: (min(one[movie_id], other[movie_id]), -movie_id), reverse=True)

    def both_love(movie_id: int) -> bool:
        least = min(one[movie_id], other[movie_id])
        return least > 0 or (least == 0 and min(mine[movie_id], theirs[movie_id]) >= LOVED_RATING)

    love, love_too = (movie_id if both_love(movie_id) else None for movie_id in loved[:2])
    differ = max(common, key=lambda id: (-one[id] * other[id], abs(one[id] - other[id]), -id))
    return TasteMatch(
        common=len(common),
        percent=PERCENT_STEP * round((50 + 50 * correlation * certainty) / PERCENT_STEP),
        both_love=love,
        both_love_too=love_too,
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
