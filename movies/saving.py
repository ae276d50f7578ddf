"""Saving movies read from TMDb; a poster's state follows its path."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q

from movies import vocabulary
from movies.models import RESET_POSTER, Movie, PosterPriority, PosterStatus

# What a list row (rated, search) tells of a movie, and what only its details tell
LIST_FIELDS = [
    "title",
    "original_title",
    "title_en",
    "overview",
    "release_date",
    "popularity",
    "vote_average",
    "vote_count",
    "genres",
    "search_text",
]
DETAIL_FIELDS = [
    *LIST_FIELDS,
    "overview_en",
    "runtime",
    "countries",
    "directors",
    "actors",
    "collection_id",
    "trailer_key",
    "imdb_id",
    "details_at",
    "details_priority",
    "details_place",
    "details_attempts",
    "details_next_try_at",
    "details_error",
]


@transaction.atomic
def save_movies(movies: Iterable[Movie], priority: PosterPriority | None = PosterPriority.SOMEDAY) -> dict[int, Movie]:
    """Insert or update movies from TMDb in one transaction; new and changed posters are queued with this priority.

    With None, each with its movie's own. Movies from list rows (`details_at` None) are only added: they never overwrite
    more than an id. Movies with details overwrite everything they carry. Those that are new come in first, then all
    rows are locked in the order of their ids, so that concurrent calls do not deadlock.

    Returns {id: row} of those that were known before, as they stood: with title, poster_path and details_at alone.
    """
    unique = {movie.id: movie for movie in movies}
    in_order = [unique[id] for id in sorted(unique)]
    if priority is not None:
        for movie in in_order:
            movie.poster_priority = priority
    known = set(Movie.objects.filter(id__in=list(unique)).values_list("id", flat=True))
    if new := [movie for movie in in_order if movie.id not in known]:
        Movie.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    rows = {row.id: row for row in Movie.objects.locked(unique).only("title", "poster_path", "details_at")}
    if merged := [movie for movie in in_order if movie.id not in rows]:  # into others, this very moment
        Movie.objects.bulk_create(merged, ignore_conflicts=True, batch_size=500)
    known_by_id = [movie for movie in in_order if movie.id in rows and not rows[movie.id].title]
    if unnamed := [movie for movie in known_by_id if movie.details_at is None and movie.title]:
        posters = ["poster_path", "poster_status", "poster_next_try_at", "poster_priority"]
        Movie.objects.bulk_update(unnamed, [*LIST_FIELDS, *posters])
    if detailed := [movie for movie in in_order if movie.details_at is not None]:
        _save_details(detailed, rows)
    vocabulary.cached.add(movie.search_text for movie in in_order if movie.id not in known or movie.details_at)
    return {id: row for id, row in rows.items() if id in known}


def _save_details(movies: list[Movie], rows: dict[int, Movie]) -> None:
    posters = [(movie.poster_path, movie.poster_priority) for movie in movies]
    Movie.objects.bulk_create(
        movies, update_conflicts=True, unique_fields=["id"], update_fields=DETAIL_FIELDS, batch_size=500
    )
    for movie, poster in zip(movies, posters, strict=True):
        movie.poster_path, movie.poster_priority = poster  # what bulk_create did not write it has read back
        if movie.id in rows and rows[movie.id].poster_path != movie.poster_path:
            change_poster(movie, PosterPriority(movie.poster_priority))


def change_poster(movie: Movie, priority: PosterPriority = PosterPriority.SOMEDAY) -> None:
    """Save that TMDb has another poster of the movie, or none any more; the old file_id serves until the new is in."""
    stale = Movie.objects.filter(pk=movie.pk).exclude(poster_path=movie.poster_path)
    if movie.poster_path:
        stale.update(**RESET_POSTER | {"poster_path": movie.poster_path, "poster_priority": priority})
    else:
        uploaded = Q(telegram_file_id__gt="")
        stale.exclude(uploaded).update(poster_path="", poster_status=PosterStatus.NONE, local_path="")
        stale.filter(uploaded).update(poster_path="", poster_status=PosterStatus.TELEGRAM, local_path="")
