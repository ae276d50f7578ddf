"""What a person's ratings say of their taste, as weights of films (pure Python: worked out while the person waits)."""

from heapq import nlargest
from itertools import repeat
from math import exp
from operator import itemgetter

SLOPE = 0.3  # weight of a rating per point above the person's mean
MEAN = 3, 7  # the mean begins with so many imaginary ratings of so much: a single 1 is no sign of love
NEARLY = 0.5  # points below their mean at which a rating still says that somebody liked the film
EVERYBODY = 0  # the film that everybody has seen: its neighbours are the popular films
FILL = 1e-6  # weight of that film: popularity decides only where nothing else does
BEST = 200, 100  # films of a person that count: where order means nothing, and where it means all it can
DECAY = 7  # ratings: how fast the weight of a rating falls with the ratings made after it
FLOOR = 0.12  # and what stays of it, where the order of ratings means all it can
DISLIKE = -0.2  # weight of a film the person called not interesting; a guess, never measured
NOTHING = 1e-9  # of a weight: from there on nothing falls any more
MOST_DISLIKES = 50  # the latest ones count


def taste(ratings, order, dislikes=()):
    """{film: weight} of the ratings that say most of a person.

    ratings: [(film, rating 1-10, time)] in any order; order: Build.order_strength, 0-1; dislikes: films, latest first.
    A rating weighs 1 + SLOPE * (rating - the person's mean), less with each rating made strictly later: what somebody
    rated last says most of what they will see next.
    """
    weights = {EVERYBODY: FILL if ratings else 1.0}
    if ratings:
        mean = mean_of(ratings)
        floor = 1 - (1 - FLOOR) * order
        latest = sorted(ratings, key=itemgetter(2), reverse=True) if order else ratings
        weighed = [
            ((1 + SLOPE * (rating - mean)) * fresh, film)
            for (film, rating, _time), fresh in zip(latest, freshness(latest, floor), strict=False)
        ]
        most = round(BEST[0] + (BEST[1] - BEST[0]) * order)
        weights |= {film: weight for weight, film in nlargest(most, weighed) if weight > 0}
    for film in dislikes[:MOST_DISLIKES]:
        weights.setdefault(film, DISLIKE)
    return weights


def mean_of(ratings):
    """The person's mean, drawn to what people give on average where their ratings are few."""
    return (MEAN[0] * MEAN[1] + sum(rating for _film, rating, _time in ratings)) / (MEAN[0] + len(ratings))


def liked(ratings):
    """The films that a person can be told of as liked."""
    least = mean_of(ratings) - NEARLY
    return frozenset(film for film, rating, _time in ratings if rating >= least)


def freshness(latest, floor):
    """What each of the ratings counts, latest first; those of one time count alike."""
    before = None
    for later, (_film, _rating, time) in enumerate(latest if floor < 1 else ()):
        if time != before:
            fresh, before = floor + (1 - floor) * exp(-later / DECAY), time
            if fresh - floor < NOTHING:
                break
        yield fresh
    yield from repeat(floor)
