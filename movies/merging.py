"""Films that TMDb has held under two ids: whatever people have of the first follows to the second, once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from django.db import transaction

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
        for model in _models_of_people():
            users = model._default_manager.filter(movie_id=movie_id).values_list("user_id", flat=True)
            for user_id in users.order_by("user_id").distinct():
                _move_of(user_id, movie_id, successor_id)


def _models_of_people() -> list[Any]:
    """Those with a movie and a user, in whatever app: ratings and all that comes with them."""
    relations = Movie._meta.get_fields(include_hidden=True)  # those without a name on this side, too
    models: list[Any] = [relation.related_model for relation in relations if relation.one_to_many]
    return [model for model in models if any(field.name == "user" for field in model._meta.fields)]


@transaction.atomic
def _move_of(user_id: int, movie_id: int, successor_id: int) -> None:
    """Where the person has both, what they said last stays."""
    for model in _models_of_people():
        model._meta.get_field("user").related_model._default_manager.lock(user_id)
        mine = model._default_manager.filter(user_id=user_id)
        both = {row.movie_id: row for row in mine.filter(movie_id__in=[movie_id, successor_id])}
        if len(both) == 2:
            when = {row_id: getattr(row, "rated_at", 0) or 0 for row_id, row in both.items()}
            older = movie_id if when[movie_id] <= when[successor_id] else successor_id
            mine.filter(movie_id=older).delete()
        mine.filter(movie_id=movie_id).update(movie_id=successor_id)


@transaction.atomic
def _delete(movie_id: int, successor_id: int) -> bool:
    """Delete the row unless people have something of it; its poster serves the successor until that has its own."""
    old = Movie.objects.select_for_update().filter(pk=movie_id).first()
    if old is None:
        return True
    if any(model._default_manager.filter(movie_id=movie_id).exists() for model in _models_of_people()):
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
