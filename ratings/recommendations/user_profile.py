"""The user vector: a weight for every movie that says something of a user's taste.

Pure Python, since it is computed while the user waits. Weights follow the rating's distance from the user's mean and,
where the order of ratings carries information, decay with the number of ratings made later.
"""

from collections.abc import Iterator, Sequence
from heapq import nlargest
from itertools import repeat
from math import exp
from operator import itemgetter

RATING_SLOPE = 0.3  # weight of a rating per point above the user's mean
PRIOR_COUNT, PRIOR_RATING = 3, 7  # imaginary ratings in the user's mean: a single 1 does not mean that they like it
LIKED_MARGIN_POINTS = 0.5  # points below the user's mean at which a rating still counts as liking
POPULARITY_ITEM = 0  # id of a pseudo movie that every user has seen: its neighbours are the popular movies
POPULARITY_WEIGHT = 1e-6  # of that item: popularity decides only where nothing else does
MAX_MOVIES_UNORDERED, MAX_MOVIES_ORDERED = 200, 100  # in a vector, at order weight 0 and 1; linear in between
RECENCY_DECAY_RATINGS = 7  # ratings made later by which the recency part of a weight falls to 1/e
MIN_RECENCY_WEIGHT = 0.12  # what remains of an old rating's weight at order weight 1
NEGLIGIBLE_RECENCY = 1e-9  # recency parts below this count as 0
DISMISSED_WEIGHT = -0.2  # of a dismissed movie; a guess, no data was available to measure it
MAX_DISMISSED = 50  # the latest ones count

RatingRow = tuple[int, float, int]  # (movie id, rating 1-10, UNIX seconds), as the database returns thousands of them


def user_vector(ratings: Sequence[RatingRow], order_weight: float, dismissed: Sequence[int] = ()) -> dict[int, float]:
    """{movie id: weight} of the movies that say most about a user; without ratings only POPULARITY_ITEM.

    `ratings` in any order; `order_weight` 0-1 (TrainingRun.order_weight); `dismissed` movie ids, latest first.
    A rating weighs 1 + RATING_SLOPE * (rating - the user's mean), times `recency_weights`; weights <= 0 are left out.
    """
    vector = {POPULARITY_ITEM: POPULARITY_WEIGHT if ratings else 1.0}
    if ratings:
        mean = mean_rating(ratings)
        floor = 1 - (1 - MIN_RECENCY_WEIGHT) * order_weight
        latest_first = sorted(ratings, key=itemgetter(2), reverse=True) if order_weight else ratings
        weighted = [
            ((1 + RATING_SLOPE * (rating - mean)) * recency, movie_id)
            for (movie_id, rating, _time), recency in zip(
                latest_first, recency_weights(latest_first, floor), strict=False
            )
        ]
        max_movies = round(MAX_MOVIES_UNORDERED + (MAX_MOVIES_ORDERED - MAX_MOVIES_UNORDERED) * order_weight)
        vector |= {movie_id: weight for weight, movie_id in nlargest(max_movies, weighted) if weight > 0}
    for movie_id in dismissed[:MAX_DISMISSED]:
        vector.setdefault(movie_id, DISMISSED_WEIGHT)
    return vector


def mean_rating(ratings: Sequence[RatingRow]) -> float:
    """The user's mean, shrunk towards PRIOR_RATING where they have rated little."""
    total = PRIOR_COUNT * PRIOR_RATING + sum(rating for _movie_id, rating, _time in ratings)
    return total / (PRIOR_COUNT + len(ratings))


def liked_movies(ratings: Sequence[RatingRow]) -> frozenset[int]:
    """Ids of the movies that may be given to the user as a reason."""
    threshold = mean_rating(ratings) - LIKED_MARGIN_POINTS
    return frozenset(movie_id for movie_id, rating, _time in ratings if rating >= threshold)


def recency_weights(latest_first: Sequence[RatingRow], floor: float) -> Iterator[float]:
    """Endless factors `floor`-1 for ratings in this order, falling with the ratings made strictly later.

    Ratings of one time get the same factor.
    """
    previous_time, weight = None, 1.0
    for later, (_movie_id, _rating, time) in enumerate(latest_first if floor < 1 else ()):
        if time != previous_time:
            weight, previous_time = floor + (1 - floor) * exp(-later / RECENCY_DECAY_RATINGS), time
            if weight - floor < NEGLIGIBLE_RECENCY:
                break
        yield weight
    yield from repeat(floor)
