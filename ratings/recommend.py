"""Films a person will like, with a reason for each: one query over the neighbours of what they rated.

New ratings count at once, since only the neighbours are worked out at night (ratings.build); no process that answers
people loads numpy. Where there are few people, what TMDb shows beside the rated films counts too (ratings.first_day),
and before anything else there are films that many people vote well for.
"""

import json
from dataclasses import dataclass

from django.core.cache import cache
from django.db import connection
from django.db.models import ExpressionWrapper, F, FloatField

from movies.models import Movie
from ratings.models import Build, Neighbour
from ratings.taste import EVERYBODY, taste

PAGE = 10  # films at a time
SPARE = 20  # candidates beyond those shown, so that variety has a choice
CLOSE = 2  # places: two films among each other's nearest so many are "so close" …
MOST_CLOSE = 2  # … and no more of a group of such films stand on one page
PRIOR_VOTES, PRIOR_MEAN = 500, 6.5  # a film's mean counts beside so many imaginary votes of this value
WELL_VOTED = 500  # films
TMDB_WEIGHT = 0.02  # of TMDb's first neighbour, while the neighbours come from nobody; never measured
TMDB_PEOPLE = 25  # people from whom the weight of TMDb's neighbours is half of that
TMDB_UNTIL = 250  # people from whom they no longer count
FIRST = 5  # films offered to a person without ratings
FIRST_OF = 60  # the best known ones to choose them from
LIST_KEPT = 3600  # seconds for which lists that are the same for everybody are kept
FINE = 1e9  # parts of a point that decide which rated film speaks most for another


@dataclass(frozen=True)
class Wishes:
    """What the person wants to see now: years from…to, minutes from…to, both ends included; None: no matter."""

    years: tuple[int, int] | None = None
    minutes: tuple[int, int] | None = None

    def films(self):
        """The films that fit; one whose year or length is not known fits no such wish."""
        films = Movie.objects.all()
        if self.years:
            films = films.filter(year__range=self.years)
        if self.minutes:
            films = films.filter(runtime__range=self.minutes)
        return films


ANYTHING = Wishes()


@dataclass(frozen=True)
class Suggestion:
    """A film, and the rated film that speaks most for it, with the person's rating, `mine`; None: many like it."""

    movie: Movie
    because: Movie | None


@dataclass(frozen=True)
class Viewer:
    """What we know of a person when we recommend: their taste, what to leave out, and whose neighbours serve."""

    user_id: int
    weights: dict[int, float]
    hidden: frozenset[int]  # rated, or called not interesting
    build: int  # Build.pk; 0: none yet
    tmdb: float  # weight of TMDb's first neighbour; 0: they do not count

    @classmethod
    def of(cls, user_id):
        build = Build.objects.current()
        ratings = fetched(
            "SELECT movie_id, CAST(normalized_rating AS double precision), rated_at"
            " FROM user_movie_ratings WHERE telegram_user_id = %s",
            [user_id],
        )
        said = fetched(
            "SELECT movie_id FROM not_interesting WHERE telegram_user_id = %s ORDER BY said_at DESC, movie_id",
            [user_id],
        )
        dislikes = [film for (film,) in said]
        people = build.everybody if build else 0
        return cls(
            user_id=user_id,
            weights=taste(ratings, build.order_strength if build else 0.0, dislikes),
            hidden=frozenset(row[0] for row in ratings).union(dislikes),
            build=build.pk if build else 0,
            tmdb=TMDB_WEIGHT * TMDB_PEOPLE / (TMDB_PEOPLE + people) if people < TMDB_UNTIL else 0.0,
        )


def recommend(user_id, page=0, wishes=ANYTHING):
    """(Suggestions of one page counted from 0, whether there are more); none for a page past the last."""
    viewer = Viewer.of(user_id)
    films = ranked(viewer, (page + 1) * PAGE + 1, wishes)
    shown, more = dict(list(films.items())[page * PAGE : (page + 1) * PAGE]), len(films) > (page + 1) * PAGE
    wanted = {film for pair in shown.items() for film in pair if film}
    movies = Movie.objects.seen_by(user_id).defer("overview", "search_text").in_bulk(wanted)
    return [Suggestion(movies[film], movies.get(because)) for film, because in shown.items() if film in movies], more


def ranked(viewer, count, wishes=ANYTHING):
    """The `count` best films for a person, best first, each page of them varied, as {film: because}.

    `because` is the rated film that carried most weight, None where only popularity speaks for the film.
    """
    because = candidates(viewer, count + SPARE, wishes)
    films = list(because)
    pairs = close_pairs(viewer.build, films)
    chosen = []
    while films and len(chosen) < count:
        page = varied(films, pairs)
        chosen += page
        films = [film for film in films if film not in set(page)]
    return {film: because[film] for film in chosen[:count]}


# --- Scores


def candidates(viewer, count, wishes=ANYTHING):
    """{film: because} of the `count` best that the person has neither rated nor refused, all of them in `movies`.

    First the films that something speaks for, then well-voted ones, last those that more speaks against.
    """
    scored, wanted = [], count + SPARE
    while viewer.build or viewer.tmdb:
        scored = by_score(viewer, wanted, wishes)
        if len(scored) < wanted or sum(known and score > 0 for _film, score, _because, known in scored) >= count:
            break
        wanted *= 4
    films = {film: because for film, score, because, known in scored if known and score > 0}
    if len(films) < count:
        films |= {film: None for film in well_voted(wishes) if film not in viewer.hidden and film not in films}
        films |= {film: None for film, score, _because, known in scored if known and score <= 0 and film not in films}
    return dict(list(films.items())[:count])


def by_score(viewer, most, wishes):
    """(film, score, because, whether it is in `movies`) of the highest scores, best first; none that is hidden.

    The score is the sum of weight * taste over the person's films, `because` the film with the largest part of it: the
    film's place in the list of taste rides in the digits below those of the points, so that one MAX finds both.
    """
    liked = list(viewer.weights)
    # CROSS JOIN: SQLite then keeps this order, and looks each film's neighbours up by their key
    scores = (
        "SELECT n.neighbour_id AS film, n.weight * taste.w AS points, taste.nth FROM taste CROSS JOIN neighbours n"
        " WHERE n.build_id = %s AND n.movie_id = taste.film"
    )
    values = [*TASTE_VALUES[connection.vendor](liked, list(viewer.weights.values())), viewer.build]
    if viewer.tmdb:
        scores += (
            " UNION ALL SELECT t.neighbour_id, taste.w * CAST(%s AS double precision) * (1 - t.place / 21.0), taste.nth"
            " FROM taste CROSS JOIN tmdb_neighbours t WHERE t.movie_id = taste.film"
        )
        values.append(viewer.tmdb)
    fits = []
    for hiding in ("user_movie_ratings", "not_interesting"):
        fits.append(f"film NOT IN (SELECT movie_id FROM {hiding} WHERE telegram_user_id = %s)")
        values.append(viewer.user_id)
    if wishes != ANYTHING:
        sql, parameters = wishes.films().values("pk").query.sql_with_params()
        fits.append(f"film IN ({sql})")
        values += parameters
    rows = fetched(
        f"WITH taste (nth, film, w) AS MATERIALIZED ({TASTE[connection.vendor]})"
        " SELECT film, score, best, (SELECT m.id FROM movies m WHERE m.id = film) FROM (SELECT * FROM ("
        f"SELECT film, SUM(points) AS score, MAX(CAST(points * {FINE} AS bigint) * 1024 + nth) AS best"
        f" FROM ({scores}) AS one GROUP BY film) AS summed WHERE {' AND '.join(fits)}"
        " ORDER BY score DESC, film LIMIT %s) AS best ORDER BY score DESC, film",
        [*values, most],
    )
    because = [None if film == EVERYBODY else film for film in liked]
    return [(film, score, because[best % 1024] if best > 0 else None, bool(known)) for film, score, best, known in rows]


# A list in one parameter: a statement that is always the same text is read only once by what sends it
TASTE = {
    "postgresql": "SELECT nth - 1, film, w FROM unnest(%s::int[], %s::float8[]) WITH ORDINALITY AS one (film, w, nth)",
    "sqlite": "SELECT key, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(%s)",
}
TASTE_VALUES = {
    "postgresql": lambda films, weights: [films, weights],
    "sqlite": lambda films, weights: [json.dumps(list(zip(films, weights, strict=True)))],
}


def fetched(sql, parameters):
    """All rows of a query; plain SQL, since here making Django's costs more than answering it."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def marks(values):
    """Placeholders for an IN (…), which is never empty."""
    return ", ".join(["%s"] * len(values)) or "NULL"


def well_voted(wishes=ANYTHING):
    """Ids of films that many people have voted well for, best first: three votes of 10 do not lead."""

    def found():
        points = (F("vote_count") * F("vote_average") + PRIOR_VOTES * PRIOR_MEAN) / (F("vote_count") + PRIOR_VOTES)
        films = wishes.films().filter(vote_count__gt=0).order_by(ExpressionWrapper(-points, FloatField()), "pk")
        return list(films.values_list("pk", flat=True)[:WELL_VOTED])

    return cache.get_or_set(f"well voted:{wishes.years}:{wishes.minutes}".replace(" ", ""), found, LIST_KEPT)


# --- Variety


def close_pairs(build, films):
    """Pairs of the films that stand among each other's first CLOSE neighbours: parts of a series, mostly."""
    rows = fetched(
        f"SELECT movie_id, neighbour_id FROM neighbours WHERE build_id = %s AND movie_id IN ({marks(films)})"
        " AND place BETWEEN 1 AND %s",
        [build, *films, CLOSE],
    )
    pairs = set(rows)
    return {pair for pair in pairs if pair[::-1] in pairs}


def varied(films, pairs, count=PAGE, most=MOST_CLOSE):
    """The first `count` films, no more than `most` of those that close pairs join; never fewer for want of others."""
    group = {film: film for film in films}

    def root(film):
        while group[film] != film:
            film = group[film]
        return film

    for one, other in pairs:
        if one in group and other in group:
            group[root(one)] = root(other)
    taken, first = {}, []
    for film in films:
        if len(first) < count and taken.get(root(film), 0) < most:
            taken[root(film)] = taken.get(root(film), 0) + 1
            first.append(film)
    rest = [film for film in films if film not in set(first)]
    return (first + rest)[:count]


# --- Without any rating, and from film to film


def first_films(user_id, page=0):
    """Five well-known films to rate first, as unlike each other as can be, so that the answers tell tastes apart."""
    viewer = Viewer.of(user_id)
    films = list(candidates(viewer, FIRST_OF))
    links = weights_between(viewer.build, films)
    movies = Movie.objects.seen_by(user_id).in_bulk(films)
    left = [movies[film] for film in films if film in movies]
    chosen = []
    while left and len(chosen) < FIRST * (page + 1):

        def alike(movie):
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
    return chosen[FIRST * page :]


def weights_between(build, films):
    """{(film, other): weight} of the neighbours among these films."""
    rows = fetched(
        "SELECT movie_id, neighbour_id, weight FROM neighbours"
        f" WHERE build_id = %s AND movie_id IN ({marks(films)}) AND neighbour_id IN ({marks(films)})",
        [build, *films, *films],
    )
    return {(film, other): weight for film, other, weight in rows}


def similar(movie_id):
    """Ids of the films most like one, best first; none where the neighbours do not know it."""
    build = Build.objects.current()
    if not build:
        return []
    rows = Neighbour.objects.filter(build_id=build.pk, movie_id=movie_id, place__gt=0).order_by("place")
    return list(rows.values_list("neighbour_id", flat=True))
