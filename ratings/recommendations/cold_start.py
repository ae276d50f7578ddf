"""What TMDb knows and a young bot does not: films that everybody knows, films beside those that people love, and films
that only an archive names.

The workers ask, never while a person waits; what TMDb says of a film is kept for months.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q

from config.jobs.locks import lock
from movies.catalogue import fetch_movie, movies_in, save_movies
from movies.models import Movie, PosterNeed
from movies.tmdb import KeyRefused, NotFound, Refused, TMDb, TMDbError
from ratings.models import Build, Rating, TMDbAsked, TMDbNeighbour, WantedFilm
from ratings.recommendations.recommender import FIRST_OF, TMDB_UNTIL
from users.models import User

log = logging.getLogger(__name__)

LOVED = 8  # ratings from which a film says what somebody loves
KEPT = 120 * 86_400  # seconds until TMDb is asked for a film's neighbours again
MOST_NEIGHBOURS = 20  # of a film; a page of TMDb's
GONE = 30 * 86_400  # seconds until a film that TMDb does not have is asked for again
LATER = 3600  # seconds until one that it would not give is
BEST_KNOWN = 0  # stands for the films that most people know where those are noted that TMDb was asked about
BEST_PAGES = 3  # of TMDb's list of them: sixty films
IN_VAIN = 3  # films in a row that TMDb would not speak of: it is away


def ask_tmdb(seconds: float, stop: threading.Event):
    """Ask TMDb for the films beside those that people love, the most loved first; returns for how many it answered.

    A film that it fails at waits an hour, and keeps no other from being asked for.
    """
    asked = in_vain = 0
    deadline = time.monotonic() + seconds
    with lock("ratings.ask_tmdb") as free:
        films = loved_films() if free and are_few() else []
        for movie_id in films:
            if stop.is_set() or time.monotonic() > deadline or in_vain == IN_VAIN:
                break
            try:
                found = movies_in(TMDb().recommendations(movie_id))
            except (NotFound, Refused):
                found = []
            except KeyRefused as error:  # no fault of any film
                log.warning("TMDb is not asked what is beside films: %s", error)
                break
            except TMDbError as error:
                log.warning("film %s: TMDb does not say what is beside it: %s", movie_id, error)
                put_off(movie_id)
                in_vain += 1
                continue
            keep(movie_id, found)
            asked, in_vain = asked + 1, 0
    return asked


def note_answer(movie_id: int) -> None:
    """Do not ask for this film again for months."""
    TMDbAsked.objects.update_or_create(pk=movie_id, defaults={"asked_at": int(time.time()), "next_try_at": 0})


def put_off(movie_id: int) -> None:
    """Ask for this film later; what TMDb said of it before stays."""
    TMDbAsked.objects.update_or_create(pk=movie_id, defaults={"next_try_at": int(time.time()) + LATER})


def are_few() -> bool:
    """Whether what TMDb says still counts: while we learn from few people."""
    build = Build.objects.current()
    people = build.everybody if build else User.objects.count()
    return people < TMDB_UNTIL


def loved_films(most: int = 500):
    """Ids of the films that most people love among those TMDb has not been asked for lately."""
    counted = loved_and_unasked().values("movie_id").annotate(people=Count("user_id")).order_by("-people", "movie_id")
    return list(counted.values_list("movie_id", flat=True)[:most])


def loved_and_unasked():
    return Rating.objects.filter(~Exists(asked_lately().filter(pk=OuterRef("movie_id"))), normalized_rating__gte=LOVED)


def asked_lately():
    """Films that TMDb need not be asked about now."""
    now = int(time.time())
    return TMDbAsked.objects.filter(Q(asked_at__gt=now - KEPT) | Q(next_try_at__gt=now))


def may_help(user_id: int):
    """Whether TMDb could say more for this person: they love films that it has not been asked about."""
    return are_few() and loved_and_unasked().filter(user_id=user_id).exists()


def keep(movie_id: int, films: list[Any | Movie]) -> None:
    """Let these be TMDb's neighbours of a film, in this order; films that are new come into the table."""
    films = [film for film in films if film.pk != movie_id][:MOST_NEIGHBOURS]
    with transaction.atomic():
        # first, since two may keep the same answer: the second one waits here
        note_answer(movie_id)
        save_movies(films)
        TMDbNeighbour.objects.filter(movie_id=movie_id).delete()
        TMDbNeighbour.objects.bulk_create(
            [TMDbNeighbour(movie_id=movie_id, place=place, neighbour_id=film.pk) for place, film in enumerate(films, 1)]
        )


def beside(movie_id: int) -> list[int] | None:
    """Ids of the films that TMDb shows beside one, in its order; None where it has not been asked lately."""
    if not TMDbAsked.objects.filter(pk=movie_id, asked_at__gt=int(time.time()) - KEPT).exists():
        return None
    shown = TMDbNeighbour.objects.filter(movie_id=movie_id).order_by("place")
    return list(shown.values_list("neighbour_id", flat=True))


def knows_hardly_any():
    """Whether the table has too few films to choose the first ones from, and TMDb could be asked for the best known."""
    known = Movie.objects.filter(vote_count__gt=0)[:FIRST_OF].count()
    return known < FIRST_OF and not asked_lately().filter(pk=BEST_KNOWN).exists()


def fetch_best_known() -> int:
    """Bring the films that most people know into a table that holds hardly any; returns how many TMDb named."""
    with lock("ratings.fetch_best_known") as free:
        if not free or not knows_hardly_any():
            return 0
        try:
            found = [film for page in range(1, BEST_PAGES + 1) for film in movies_in(TMDb().best_known(page))]
        except KeyRefused as error:
            log.warning("TMDb is not asked for the best known films: %s", error)
            return 0
        except TMDbError as error:
            log.warning("TMDb does not say which films are the best known: %s", error)
            put_off(BEST_KNOWN)
            return 0
        with transaction.atomic():
            note_answer(BEST_KNOWN)
            save_movies(found)
    return len(found)


def fetch_wanted(seconds: float, stop: threading.Event):
    """Fetch films that recommendations lead to and that we lack, with posters to follow; how many came, and are due."""
    fetched = 0
    deadline = time.monotonic() + seconds
    with lock("ratings.fetch_wanted") as free:
        if not free:
            return 0, 0
        for film in due().order_by("-wanted", "movie_id")[:2000]:
            if stop.is_set() or time.monotonic() > deadline:
                break
            wanted = WantedFilm.objects.filter(pk=film.pk)
            if Movie.objects.filter(pk=film.pk).exists():
                wanted.delete()
                continue
            try:
                save_movies([fetch_movie(film.pk, TMDb())], PosterNeed.SOMEDAY)
            except (NotFound, Refused):
                wanted.update(next_try_at=int(time.time()) + GONE)
                continue
            except TMDbError as error:
                log.warning("film %s is wanted and does not come: %s", film.pk, error)
                wanted.update(next_try_at=int(time.time()) + LATER)
                break
            wanted.delete()
            fetched += 1
    return fetched, due().count()


def due():
    return WantedFilm.objects.filter(next_try_at__lte=int(time.time()))
