"""Films that TMDb has held under two ids: whatever people have of the first follows to the second, once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import transaction

from config.lock_order import lock_rows
from movies.models import MergedMovie, Movie, PosterStatus

log = logging.getLogger(__name__)


def successors(movie_ids: Iterable[int]) -> dict[int, int]:
    """{id: the id that TMDb has instead} of those ids that TMDb has given up."""
    merged = MergedMovie.objects.filter(pk__in=list(movie_ids))
    return dict(merged.values_list("pk", "successor_id"))


def merge_into(movie_id: int, successor_id: int) -> None:
    """Move what people have of a movie to its successor, which is in the table, and delete its row.

    For each person under the lock of their row, as whoever writes ratings of theirs.
    """
    log.info("movie %s: TMDb has it as %s now", movie_id, successor_id)
    while not _delete(movie_id, successor_id):
        for rows in _rows_of_people():
            users = rows.model._default_manager.filter(movie_id=movie_id).values_list(rows.user_id, flat=True)
            for user_id in users.order_by(rows.user_id).distinct():
                _move_of(user_id, movie_id, successor_id)


class _Rows(NamedTuple):
    """A model of people's rows about movies, in whatever app: ratings and all that comes with them."""

    model: Any
    owner_id: str  # the column of what has one row for a movie: a user, or a file of theirs
    user_id: str  # the path to the user


def _rows_of_people() -> list[_Rows]:
    found = []
    relations = Movie._meta.get_fields(include_hidden=True)  # those without a name on this side, too
    models: list[Any] = [relation.related_model for relation in relations if relation.one_to_many]
    for model in models:
        owners: dict[str, Any] = {field.name: field.related_model for field in model._meta.fields if field.is_relation}
        if "user" in owners:
            found.append(_Rows(model, "user_id", "user_id"))
        for name, owner in owners.items():
            if name != "movie" and any(field.name == "user" for field in owner._meta.fields):
                found.append(_Rows(model, f"{name}_id", f"{name}__user_id"))
    return found


@transaction.atomic
def _move_of(user_id: int, movie_id: int, successor_id: int) -> None:
    """Where the person has both, what they said last stays."""
    ratings: Any = Movie._meta.get_field("ratings").related_model
    ratings._meta.get_field("user").related_model._default_manager.lock(user_id)
    both = [movie_id, successor_id]
    rated_at = dict(
        ratings._default_manager.filter(user_id=user_id, movie_id__in=both).values_list("movie_id", "rated_at")
    )
    loser = successor_id if rated_at.get(movie_id, 0) > rated_at.get(successor_id, -1) >= 0 else movie_id
    for rows in _rows_of_people():
        mine = rows.model._default_manager.filter(**{rows.user_id: user_id})
        for owner in set(mine.filter(movie_id=movie_id).values_list(rows.owner_id, flat=True)):
            of_owner = mine.filter(**{rows.owner_id: owner})
            if of_owner.filter(movie_id__in=both).count() == 2:
                of_owner.filter(movie_id=loser).delete()
            of_owner.filter(movie_id=movie_id).update(movie_id=successor_id)


@transaction.atomic
def _delete(movie_id: int, successor_id: int) -> bool:
    """Delete the row unless people have something of it; its poster serves the successor until that has its own."""
    lock_rows(Movie.objects.filter(pk__in=[movie_id, successor_id]))
    old = Movie.objects.select_for_update().filter(pk=movie_id).first()
    if old is None:
        return True
    if any(rows.model._default_manager.filter(movie_id=movie_id).exists() for rows in _rows_of_people()):
        return False
    if old.telegram_file_id:
        photo = {"telegram_file_id": old.telegram_file_id, "width": old.width, "height": old.height}
        successor = Movie.objects.filter(pk=successor_id, telegram_file_id="")
        successor.filter(poster_path__in=["", old.poster_path]).update(
            **photo, poster_status=PosterStatus.TELEGRAM, local_path=""
        )
        successor.update(**photo)
    MergedMovie.objects.filter(successor_id=movie_id).update(successor_id=successor_id)
    MergedMovie.objects.update_or_create(
        pk=movie_id, defaults={"successor_id": successor_id, "merged_at": int(time.time())}
    )
    old.delete()
    return True
