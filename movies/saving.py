"""Saving movies read from TMDb; a poster's state follows its path."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q

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
def save_movies(movies: Iterable[Movie], priority: PosterPriority = PosterPriority.SOMEDAY) -> None:
    """Insert or update movies from TMDb in one transaction; new and changed posters are queued with this priority.

    Movies from list rows (`details_at` None) are only added: they never overwrite more than an id. Movies with
    details overwrite everything they carry. Each of the two kinds locks its rows in the order of their ids, so that
    concurrent calls do not deadlock.
    """
    unique = {movie.id: movie for movie in movies}
    in_order = [unique[id] for id in sorted(unique)]
    for movie in in_order:
        movie.poster_priority = priority
    listed = [movie for movie in in_order if movie.details_at is None]
    detailed = [movie for movie in in_order if movie.details_at is not None]
    if listed:
        Movie.objects.bulk_create(listed, ignore_conflicts=True, batch_size=500)
        _name(listed)
    if detailed:
        _save_details(detailed, priority)


def _name(movies: list[Movie]) -> None:
    """Give movies of which the table knew only the id what their list rows tell."""
    unnamed = set(Movie.objects.filter(id__in=[movie.id for movie in movies], title="").values_list("id", flat=True))
    if named := [movie for movie in movies if movie.id in unnamed and movie.title]:
        posters = ["poster_path", "poster_status", "poster_next_try_at", "poster_priority"]
        Movie.objects.bulk_update(named, [*LIST_FIELDS, *posters])


def _save_details(movies: list[Movie], priority: PosterPriority) -> None:
    new_paths = [movie.poster_path for movie in movies]  # bulk_create reads what it did not write back into the movies
    old_paths = dict(Movie.objects.filter(id__in=[movie.id for movie in movies]).values_list("id", "poster_path"))
    Movie.objects.bulk_create(
        movies, update_conflicts=True, unique_fields=["id"], update_fields=DETAIL_FIELDS, batch_size=500
    )
    for movie, poster_path in zip(movies, new_paths, strict=True):
        if old_paths.get(movie.id, poster_path) != poster_path:
            movie.poster_path = poster_path
            change_poster(movie, priority)


def change_poster(movie: Movie, priority: PosterPriority = PosterPriority.SOMEDAY) -> None:
    """Save that TMDb has another poster of the movie, or none any more; the old file_id serves until the new is in."""
    stale = Movie.objects.filter(pk=movie.pk).exclude(poster_path=movie.poster_path)
    if movie.poster_path:
        stale.update(**RESET_POSTER | {"poster_path": movie.poster_path, "poster_priority": priority})
    else:
        uploaded = Q(telegram_file_id__gt="")
        stale.exclude(uploaded).update(poster_path="", poster_status=PosterStatus.NONE, local_path="")
        stale.filter(uploaded).update(poster_path="", poster_status=PosterStatus.TELEGRAM, local_path="")
