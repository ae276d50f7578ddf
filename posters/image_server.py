"""Whether a poster is at fault, or the server of TMDb's images: a 404 says nothing while no other image comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from config.lock_order import update_rows
from movies.models import RESET_POSTER, Movie, MovieQuerySet, PosterPriority, PosterStatus
from movies.parsing import parse_movies
from movies.tmdb import IMAGE_PATH, NotFound, Oversized, TMDb, TMDbError, Unavailable
from posters.images import InvalidImage, to_telegram_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SUCH_IMAGE = "TMDb has no such image"
RECHECK_SECONDS = 7 * 86_400  # after which an image that TMDb did not have is asked for again
DOUBTFUL_SECONDS = 120  # before a fault of the server was found, in which it may have begun
SAMPLES = 2  # images of films that had one; of one film it may be gone


def may_be_at_fault(movie: Movie, error: BaseException) -> bool:
    """Whether the server, rather than the poster, may be the reason of a failed download."""
    if isinstance(error, Unavailable):
        return not isinstance(error, Oversized)
    asked = IMAGE_PATH.fullmatch(movie.poster_path)  # no request is made for what is no path of TMDb's
    return isinstance(error, NotFound | InvalidImage) and asked is not None


def fault() -> str:
    """Why downloads have to stop, where no other image comes either; "" where the posters are at fault."""
    cause = problem()
    return take_back_doubtful(cause) if cause else ""


def problem() -> TMDbError | InvalidImage | None:
    """Why no image comes, or None where one does."""
    tmdb = TMDb(background=False)
    tmdb.attempts = 1
    error: TMDbError | InvalidImage | None = None
    try:
        for path in _samples(tmdb):
            try:
                to_telegram_jpeg(tmdb.image(path))
                return None
            except (NotFound, InvalidImage) as reason:
                error = reason
    except TMDbError as reason:
        error = error or reason
    return error


def _samples(tmdb: TMDb) -> Iterator[str]:
    """Paths of images that should be there: of posters that came, and of the films with the most votes at TMDb."""
    came = Movie.objects.filter(poster_status__in=[PosterStatus.LOCAL, PosterStatus.TELEGRAM], poster_error="")
    yield from came.filter(poster_path__gt="").order_by("-pk").values_list("poster_path", flat=True)[:SAMPLES]
    most_voted = parse_movies(tmdb.most_voted())
    yield from [movie.poster_path for movie in most_voted if movie.poster_path][:SAMPLES]


def _given_up() -> MovieQuerySet:
    """Movies whose image TMDb did not have; `poster_next_try_at` is when it is asked for again."""
    without = Movie.objects.filter(poster_status__in=[PosterStatus.NONE, PosterStatus.TELEGRAM], poster_path__gt="")
    return without.filter(poster_error__startswith=NO_SUCH_IMAGE).exclude(poster_error="")  # as the index has it


def recheck() -> int:
    """Queue again what was given up a week ago, after all others; returns how many."""
    now = int(time.time())
    due = _given_up().exclude(poster_next_try_at__range=(now + 1, now + RECHECK_SECONDS))
    return update_rows(due, **RESET_POSTER | {"poster_priority": PosterPriority.SOMEDAY})


def take_back_doubtful(cause: BaseException) -> str:
    """The server fails: queue again what was given up just before. Returns why downloads stop."""
    since = int(time.time()) - DOUBTFUL_SECONDS + RECHECK_SECONDS
    update_rows(_given_up().filter(poster_next_try_at__gte=since), **RESET_POSTER)
    return f"TMDb's images cannot be had now ({cause})"
