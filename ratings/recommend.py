"""Films a person will like, with a reason for each: one query over the neighbours of what they rated.

New ratings count at once, since only the neighbours are worked out at night (ratings.build); no process that answers
people loads numpy. Where there are few people, what TMDb shows beside the rated films counts too (ratings.first_day),
and before anything else there are films that many people vote well for.
"""

from dataclasses import dataclass

from django.core.cache import cache
from django.db import connection
from django.db.models import ExpressionWrapper, F, FloatField

from movies.models import Movie
from ratings.models import Build, Neighbour, NotInteresting, TMDbNeighbour
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
        said = NotInteresting.objects.filter(user_id=user_id).order_by("-said_at", "movie_id")
        dislikes = list(said.values_list("movie_id", flat=True))
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
    shown, more = films[page * PAGE : (page + 1) * PAGE], len(films) > (page + 1) * PAGE
    because = reasons(viewer, shown)
    movies = Movie.objects.seen_by(user_id).in_bulk([*shown, *because.values()])
    return [Suggestion(movies[film], movies.get(because.get(film))) for film in shown if film in movies], more


def ranked(viewer, count, wishes=ANYTHING):
    """The ids of the `count` best films for a person, best first, each page of them varied."""
    films = candidates(viewer, count + SPARE, wishes)
    pairs = close_pairs(viewer.build, films)
    chosen = []
    while films and len(chosen) < count:
        page = varied(films, pairs)
        chosen += page
        films = [film for film in films if film not in set(page)]
    return chosen[:count]


# --- Scores


def candidates(viewer, count, wishes=ANYTHING):
    """The `count` best films by score that the person has neither rated nor refused, all of them in `movies`."""
    films, wanted = [], count + SPARE
    while viewer.build or viewer.tmdb:
        found = by_score(viewer, wanted, wishes)
        known = {row[0] for row in fetched(f"SELECT id FROM movies WHERE id IN ({marks(found)})", found)}
        films = [film for film in found if film in known][:count]
        if len(films) == count or len(found) < wanted:
            break
        wanted *= 4
    if len(films) < count:
        seen = viewer.hidden.union(films)
        films += [film for film in well_voted(wishes) if film not in seen][: count - len(films)]
    return films


def by_score(viewer, most, wishes):
    """Ids of the films with the highest sums of weight * taste that the person has not hidden, best first."""
    pairs = ["(CAST(%s AS integer), CAST(%s AS double precision))"] + ["(%s, %s)"] * (len(viewer.weights) - 1)
    values = [part for pair in viewer.weights.items() for part in pair]
    # CROSS JOIN: SQLite then keeps this order, and looks each film's neighbours up by their key
    scores = (
        "SELECT n.neighbour_id AS film, n.weight * taste.w AS points FROM taste CROSS JOIN neighbours n"
        " WHERE n.build_id = %s AND n.movie_id = taste.film"
    )
    values.append(viewer.build)
    if viewer.tmdb:
        scores += (
            " UNION ALL SELECT t.neighbour_id, taste.w * CAST(%s AS double precision) * (1 - t.place / 21.0)"
            " FROM taste CROSS JOIN tmdb_neighbours t WHERE t.movie_id = taste.film"
        )
        values.append(viewer.tmdb)
    fits = ""
    for hiding in ("user_movie_ratings", "not_interesting"):
        fits += f" AND film NOT IN (SELECT movie_id FROM {hiding} WHERE telegram_user_id = %s)"
        values.append(viewer.user_id)
    if wishes != ANYTHING:
        sql, parameters = wishes.films().values("pk").query.sql_with_params()
        fits += f" AND film IN ({sql})"
        values += parameters
    rows = fetched(
        f"WITH taste (film, w) AS (VALUES {', '.join(pairs)})"
        f" SELECT film FROM (SELECT film, SUM(points) AS score FROM ({scores}) AS one GROUP BY film) AS summed"
        f" WHERE score > 0{fits} ORDER BY score DESC, film LIMIT %s",
        [*values, most],
    )
    return [film for (film,) in rows]


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


# --- Reasons


def reasons(viewer, films):
    """{recommended film: the rated film that carried most weight}; without those that only popularity speaks for."""
    best = {}
    liked = [film for film, weight in viewer.weights.items() if film != EVERYBODY and weight > 0]
    for film, neighbour, weight in [*links_between(viewer.build, liked, films), *tmdb_links(viewer, liked, films)]:
        best[neighbour] = max(best.get(neighbour, (0.0, 0)), (weight * viewer.weights[film], film))
    return {neighbour: film for neighbour, (weight, film) in best.items() if film}


def links_between(build, films, others, places=(0, 32767)):
    """(film, other, weight) of the neighbours' rows between two lists, with a `place` between these two."""
    return fetched(
        "SELECT movie_id, neighbour_id, weight FROM neighbours"
        f" WHERE build_id = %s AND movie_id IN ({marks(films)}) AND neighbour_id IN ({marks(others)})"
        " AND place BETWEEN %s AND %s",
        [build, *films, *others, *places],
    )


def tmdb_links(viewer, films, others):
    if not (viewer.tmdb and films and others):
        return []
    rows = TMDbNeighbour.objects.filter(movie_id__in=films, neighbour_id__in=others)
    rows = rows.values_list("movie_id", "neighbour_id", "place")
    return [(film, other, viewer.tmdb * (1 - place / 21)) for film, other, place in rows]


# --- Variety


def close_pairs(build, films):
    """Pairs of the films that stand among each other's first CLOSE neighbours: parts of a series, mostly."""
    pairs = {row[:2] for row in links_between(build, films, films, places=(1, CLOSE))}
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
    films = candidates(viewer, FIRST_OF)
    links = {(one, other): weight for one, other, weight in links_between(viewer.build, films, films)}
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


def similar(movie_id):
    """Ids of the films most like one, best first; none where the neighbours do not know it."""
    build = Build.objects.current()
    if not build:
        return []
    rows = Neighbour.objects.filter(build_id=build.pk, movie_id=movie_id, place__gt=0).order_by("place")
    return list(rows.values_list("neighbour_id", flat=True))
