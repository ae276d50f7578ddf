"""Films a person will like, with a reason for each: the neighbours of what they rated, by one query, added up.

New ratings count at once, since only the neighbours are worked out at night (ratings.recommendations.training); no
process that answers people loads numpy. Where there are few people, what TMDb shows beside the rated films counts too
(ratings.recommendations.cold_start), and before anything else there are films that many people vote well for.
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from dataclasses import dataclass
from heapq import nlargest
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.db.models import ExpressionWrapper, F, FloatField

from movies.compiled import CompiledQuery
from movies.models import Movie
from ratings.models import Build
from ratings.recommendations.diversify import same_series, varied
from ratings.recommendations.user_profile import liked, taste

PAGE = 10  # films at a time
AT_ONCE = 5000  # films looked up in one statement
SPARE = 20  # candidates beyond those shown, so that variety has a choice
CLOSE = 2  # places: two films among each other's nearest so many are of one series
PRIOR_VOTES, PRIOR_MEAN = 500, 6.5  # a film's mean counts beside so many imaginary votes of this value
WELL_VOTED = 500  # films
TMDB_WEIGHT = 0.02  # of TMDb's first neighbour, while the neighbours come from nobody; never measured
TMDB_PEOPLE = 25  # people from whom the weight of TMDb's neighbours is half of that
TMDB_UNTIL = 250  # people from whom they no longer count
FIRST = 5  # films offered to a person without ratings
FIRST_OF = 60  # the best known ones to choose them from
LIST_KEPT = 3600  # seconds for which lists that are the same for everybody are kept
SHOWN = "pk", "title", "original_title", "year", "runtime", "vote_average", "vote_count"  # of a film in a list


@dataclass(frozen=True)
class Wishes:
    """What the person wants to see now: years from…to, minutes from…to, both ends included; None: no matter."""

    years: tuple[int, int] | None = None
    minutes: tuple[int, int] | None = None

    @property
    def ranges(self):
        """{column of `movies`: its ends}; a film whose year or length is not known fits no such wish."""
        return {column: ends for column, ends in (("year", self.years), ("runtime", self.minutes)) if ends}

    def films(self):
        """The films that fit."""
        return Movie.objects.filter(**{f"{column}__range": ends for column, ends in self.ranges.items()})

    def among(self, films):
        """{film: its original title} of those of the films that are in `movies` and fit."""
        sql, values = f"SELECT id, original_title FROM movies WHERE id {AMONG[connection.vendor]}", [one_of(films)]
        for column, ends in self.ranges.items():
            sql += f" AND {column} BETWEEN %s AND %s"
            values += ends
        return dict(fetched(sql, values))


ANYTHING = Wishes()
CURRENT = CompiledQuery(lambda: Build.objects.finished()[:1])
SLOTS = [f"film{number}" for number in range(2 * PAGE)]  # a page's films and their reasons
LISTED = CompiledQuery(
    lambda viewer, **films: Movie.objects.seen_by(viewer).only(*SHOWN).filter(pk__in=films.values()),
    viewer=2**52 + 1,
    **{slot: 2**30 + number for number, slot in enumerate(SLOTS)},  # ids like no others in the query
)


@dataclass(frozen=True)
class Suggestion:
    """A film, and the film they liked that speaks most for it, with their rating, `mine`; None: many like it."""

    movie: Movie
    because: Movie | None


@dataclass(frozen=True)
class Viewer:
    """What we know of a person when we recommend: their taste, what to leave out, and whose neighbours serve."""

    weights: dict[int, float]
    liked: frozenset[int]  # films that may be named as a reason
    hidden: frozenset[int]  # rated, or called not interesting
    build: int  # Build.pk; 0: none yet
    tmdb: float  # weight of TMDb's first neighbour; 0: they do not count

    @classmethod
    def of(cls, user_id: int):
        build = next(iter(CURRENT.rows()), None)
        rows = fetched(
            "SELECT movie_id, CAST(normalized_rating AS double precision), rated_at"
            " FROM user_movie_ratings WHERE telegram_user_id = %s"
            " UNION ALL SELECT movie_id, NULL, said_at FROM not_interesting WHERE telegram_user_id = %s",
            [user_id, user_id],
        )
        ratings = [row for row in rows if row[1] is not None]
        refused = sorted((row for row in rows if row[1] is None), key=lambda row: (-row[2], row[0]))
        dislikes = [film for film, _none, _said_at in refused]
        people = build.everybody if build else 0
        return cls(
            weights=taste(ratings, build.order_strength if build else 0.0, dislikes),
            liked=liked(ratings),
            hidden=frozenset(row[0] for row in rows),
            build=build.pk if build else 0,
            tmdb=TMDB_WEIGHT * TMDB_PEOPLE / (TMDB_PEOPLE + people) if people < TMDB_UNTIL else 0.0,
        )


def recommend(user_id: int, page: int = 0, wishes=ANYTHING):
    """(Suggestions of one page counted from 0, whether there are more); none for a page past the last."""
    viewer = Viewer.of(user_id)
    films = ranked(viewer, (page + 1) * PAGE + 1, wishes)
    shown, more = dict(list(films.items())[page * PAGE : (page + 1) * PAGE]), len(films) > (page + 1) * PAGE
    movies = in_list(user_id, {film for film, one in shown.items()} | {one.because for one in shown.values()} - {None})
    return [Suggestion(movies[film], movies.get(one.because)) for film, one in shown.items() if film in movies], more


def in_list(user_id: int, films):
    """{film: Movie, with what a list shows of it and `mine`} of up to 2 * PAGE films."""
    if not films:
        return {}
    ids = [*films, *[min(films)] * (len(SLOTS) - len(films))]
    return {movie.pk: movie for movie in LISTED.rows(viewer=user_id, **dict(zip(SLOTS, ids, strict=True)))}


def ranked(viewer, count: int, wishes=ANYTHING):
    """The `count` best films for a person, best first, each page of them varied, as {film: Candidate}."""
    found = candidates(viewer, count + SPARE, wishes)
    films = list(found)
    pairs = close_pairs(viewer.build, {film: one.title for film, one in found.items()})
    chosen = []
    while films and len(chosen) < count:
        page = varied(films, pairs, PAGE)
        chosen += page
        films = [film for film in films if film not in set(page)]
    return {film: found[film] for film in chosen[:count]}


# --- Scores


class Candidate(NamedTuple):
    """What speaks for a film, and its original title."""

    because: int | None  # the film they liked that carries most weight; None: only popularity speaks for it
    title: str


def candidates(viewer, count: int, wishes=ANYTHING):
    """{film: Candidate} of the `count` best that the person has neither rated nor refused, all of them in `movies`.

    First the films that something speaks for, then well-voted ones, last those that more speaks against.
    """
    voices = list(speaking(viewer))
    scores = added_up(voices)
    for film in viewer.hidden:
        scores.pop(film, None)
    titles = best_of({film: score for film, score in scores.items() if score > 0}, count, wishes)
    because = reasons((voice for voice in voices if voice[0] in viewer.liked), titles)
    if len(titles) < count:
        voted = [film for film in well_voted(wishes) if film not in viewer.hidden and film not in titles]
        there = wishes.among(voted)  # still: the list is kept for a while
        titles |= {film: there[film] for film in voted if film in there}
    if len(titles) < count:
        against = {film: score for film, score in scores.items() if score <= 0 and film not in titles}
        titles |= best_of(against, count - len(titles), wishes)
    return {film: Candidate(because.get(film), title) for film, title in list(titles.items())[:count]}


def speaking(viewer):
    """(film, its weight, its neighbours, their weights) of the films of their taste; TMDb's after ours."""
    for film, (neighbours, weights, _nearest) in neighbours_of(viewer.build, viewer.weights).items():
        yield film, viewer.weights[film], neighbours, weights
    if viewer.tmdb:
        rows = fetched(
            f"SELECT movie_id, neighbour_id, place FROM tmdb_neighbours WHERE movie_id {AMONG[connection.vendor]}"
            " ORDER BY movie_id, place",
            [one_of(viewer.weights)],
        )
        for film, beside in groupby(rows, itemgetter(0)):
            _films, neighbours, places = zip(*beside, strict=True)
            yield film, viewer.weights[film] * viewer.tmdb, neighbours, [1 - place / 21 for place in places]


def added_up(voices):
    """{film: the sum of all that is said of it}."""
    scores = defaultdict(float)
    for _film, weight, neighbours, weights in voices:
        for neighbour, one in zip(neighbours, weights, strict=True):
            scores[neighbour] += weight * one
    return scores


def best_of(scores, count: int, wishes):
    """{film: its original title} of the `count` with the highest scores that are in `movies` and fit, best first."""
    chosen = {}
    for part in by_score(scores, 2 * count):
        titles = wishes.among(part)
        chosen |= {film: titles[film] for film in part if film in titles}
        if len(chosen) >= count:
            break
    return dict(list(chosen.items())[:count])


def by_score(scores, first):
    """All the films, best first, in parts; the first part is found without putting all others in order."""
    if scores:
        yield nlargest(first, scores, key=scores.get)
    if len(scores) > first:
        others = sorted(scores, key=scores.get, reverse=True)[first:]
        for start in range(0, len(others), AT_ONCE):
            yield others[start : start + AT_ONCE]


def reasons(voices, films):
    """{film: the film of the voices that speaks most for it, or None}, in the same order."""
    found, loudest = dict.fromkeys(films), dict.fromkeys(films, 0.0)
    for film, weight, neighbours, weights in voices:
        for neighbour in found.keys() & neighbours:
            points = weight * weights[neighbours.index(neighbour)]
            if points > loudest[neighbour]:
                loudest[neighbour], found[neighbour] = points, film
    return found


# A list in one parameter: a statement that is always the same text is read only once by what sends it
AMONG = {"postgresql": "= ANY(%s)", "sqlite": "IN (SELECT value FROM json_each(%s))"}


def one_of(films):
    """The parameter of AMONG."""
    return list(films) if connection.vendor == "postgresql" else json.dumps(list(films))


def neighbours_of(build, films):
    """{film: (its neighbours, their weights, how many of the first are the most alike)}, in the order of `films`."""
    rows = fetched(
        "SELECT movie_id, films, weights, nearest FROM neighbours"
        f" WHERE build_id = %s AND movie_id {AMONG[connection.vendor]}",
        [build, one_of(films)],
    )
    found = {film: (array("i", ids), array("f", weights), nearest) for film, ids, weights, nearest in rows}
    return {film: found[film] for film in films if film in found}


def fetched(sql: str, parameters):
    """All rows of a query; plain SQL, since here making Django's costs more than answering it."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def well_voted(wishes=ANYTHING):
    """Ids of films that many people have voted well for, best first: three votes of 10 do not lead."""

    def found():
        points = (F("vote_count") * F("vote_average") + PRIOR_VOTES * PRIOR_MEAN) / (F("vote_count") + PRIOR_VOTES)
        films = wishes.films().filter(vote_count__gt=0).order_by(ExpressionWrapper(-points, FloatField()), "pk")
        return list(films.values_list("pk", flat=True)[:WELL_VOTED])

    key = f"well voted:{wishes.years}:{wishes.minutes}".replace(" ", "")
    if (kept := cache.get(key)) is None:
        kept = found()
        if len(kept) == WELL_VOTED:  # a young bot knows more of them every minute, and finds them quickly
            cache.set(key, kept, LIST_KEPT)
    return kept


# --- Variety


def close_pairs(build, titles):
    """Pairs of the films, {film: title}, of one series: each other's first CLOSE neighbours, or with like titles."""
    pairs = {
        (film, neighbour)
        for film, (neighbours, _weights, nearest) in neighbours_of(build, titles).items()
        for neighbour in neighbours[: min(CLOSE, nearest)]
    }
    return {pair for pair in pairs if pair[::-1] in pairs} | same_series(titles)


# --- Without any rating, and from film to film


def first_films(user_id: int, page: int = 0):
    """(Five well-known films to rate first, as unlike each other as can be, so that the answers tell tastes apart,
    whether there are more pages)."""
    viewer = Viewer.of(user_id)
    films = list(candidates(viewer, FIRST_OF))
    links = weights_between(viewer.build, set(films))
    movies = Movie.objects.seen_by(user_id).in_bulk(films)
    left = [movies[film] for film in films if film in movies]
    chosen = []
    while left and len(chosen) < FIRST * (page + 1):

        def alike(movie: Movie):
            here = chosen[len(chosen) // FIRST * FIRST :]
            same_time = sum(
                0.01 for other in here if movie.year and other.year and movie.year // 10 == other.year // 10
            )
            return same_time + sum(
                links.get((movie.pk, other.pk), 0.0) + links.get((other.pk, movie.pk), 0.0) for other in here
            )

        known = left[: len(left) // 2 + 1]  # the better known half of what is left
        best = min(known, key=lambda movie: round(alike(movie), 6))
        chosen.append(best)
        left.remove(best)
    return chosen[FIRST * page :], bool(left)


def weights_between(build, films):
    """{(film, other): weight} of the neighbours among these films."""
    return {
        (film, other): weight
        for film, (neighbours, weights, _nearest) in neighbours_of(build, films).items()
        for other, weight in zip(neighbours, weights, strict=True)
        if other in films
    }


def similar(movie_id: int) -> list[Any]:
    """Ids of the films most like one, best first; none where the neighbours do not know it."""
    build = Build.objects.current()
    found = neighbours_of(build.pk, [movie_id]) if build else {}
    return [film for neighbours, _weights, nearest in found.values() for film in neighbours[:nearest]]
