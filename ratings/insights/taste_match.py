"""How far two people's tastes agree, and the link by which one lets another ask."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from ratings.models import MatchLink, Rating

if TYPE_CHECKING:
    from users.models import User

LIFE = 7 * 86_400  # seconds for which a link works
ENOUGH = 5  # films in common below which a figure would say nothing
DOUBT = 5  # imaginary films on which they neither agree nor differ
NEAR = 2  # points by which two people's ratings differ where they no longer say the same
NOISE = 0.25  # square points: what a rating varies by without meaning anything


class TooFew(Exception):
    """The two have rated too few films in common."""

    def __init__(self, common: int) -> None:
        super().__init__(common)
        self.common = common


@dataclass(frozen=True)
class Agreement:
    """percent 0-100, 50 for strangers; ids of the films they agree and differ about most, None where there is none."""

    percent: int
    common: int
    both_love: int | None
    differ: int | None


def link_of(user: User):
    """The token by which others may compare tastes with this person; an old link stops working."""
    link, _new = MatchLink.objects.update_or_create(
        user=user, defaults={"token": secrets.token_urlsafe(16), "made_at": int(time.time())}
    )
    return link.token


def owner_of(token: str):
    """The id of the person whose link this is; None where it is no longer good."""
    link = MatchLink.objects.filter(token=token, made_at__gt=int(time.time()) - LIFE).first()
    return link and link.user_id


def end_link(user_id: int, token: str):
    """Let nobody compare tastes with this person by this link any more; whether another one of theirs still works."""
    MatchLink.objects.filter(user_id=user_id, token=token).delete()
    return MatchLink.objects.filter(user_id=user_id).exists()


def agreement(one_id: int, other_id: int) -> Agreement:
    """How far the two agree, from the films both have rated: the correlation of their ratings, 50 where it is none.

    Each rating counts by how far it lies from its person's own mean, so that a strict and a kind person of one taste
    agree. Where ratings hardly vary there is little to correlate, and it counts how near they lie to each other: two
    people who give nothing but 10s agree. Raises TooFew.
    """
    mine, theirs = ratings_of(one_id), ratings_of(other_id)
    one, other = deviations(mine), deviations(theirs)
    common = sorted(one.keys() & other.keys())
    if len(common) < ENOUGH:
        raise TooFew(len(common))
    product = sum(one[film] * other[film] for film in common)
    size = sqrt(sum(one[film] ** 2 for film in common) * sum(other[film] ** 2 for film in common))
    apart = sum(abs(mine[film] - theirs[film]) for film in common) / len(common)
    near, noise = max(0.0, 1 - apart / NEAR), NOISE * len(common)
    alike = (product + noise * near) / (size + noise)
    percent = round(50 + 50 * alike * len(common) / (len(common) + DOUBT))
    love = max(common, key=lambda film: (min(one[film], other[film]), -film))
    differ = max(common, key=lambda film: (-one[film] * other[film], abs(one[film] - other[film]), -film))
    return Agreement(
        percent=percent,
        common=len(common),
        both_love=love if min(one[love], other[love]) > 0 else None,
        differ=differ if one[differ] * other[differ] < 0 else None,
    )


def ratings_of(user_id: int) -> dict[int, float]:
    """{film: the person's rating, 1-10}."""
    rows = Rating.objects.filter(user_id=user_id).values_list("movie_id", "normalized_rating")
    return {film: float(value) for film, value in rows}


def deviations(rated: dict[int, float]) -> dict[int, float]:
    """{film: how far the rating lies above the mean of all these}."""
    mean = sum(rated.values()) / len(rated) if rated else 0.0
    return {film: value - mean for film, value in rated.items()}
