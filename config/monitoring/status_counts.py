"""How many rows are in each state: counted at once while that is quick, else by a job, once a minute."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db.models import Count

from config.models import Figure

if TYPE_CHECKING:
    from movies.models import MovieQuerySet
    from users.models import UserQuerySet

QUICK = 20_000  # rows that are counted while somebody waits
STATES = {
    # figure: (model, the field of its state)
    "films": ("movies.Movie", "poster_status"),
    "people": ("users.User", "sync_status"),
}


def states(name: str) -> tuple[dict[Any, Any], float] | tuple[dict[int, int], float]:
    """({state: rows}, UNIX time of the count)."""
    if is_small(name):
        return _count(name), time.time()
    figure = Figure.objects.filter(name=name).first() or take(name)
    return {int(state): number for state, number in figure.value.items()}, figure.taken_at


def is_small(name: str) -> bool:
    return _rows(name)[: QUICK + 1].count() <= QUICK


def take(name: str) -> Figure:
    """Count now and keep the figure, however long it takes."""
    value = {str(state): number for state, number in _count(name).items()}
    figure = Figure(name=name, value=value, taken_at=time.time())
    Figure.objects.bulk_create(
        [figure], update_conflicts=True, unique_fields=["name"], update_fields=["value", "taken_at"]
    )
    return figure


def _rows(name: str) -> UserQuerySet | MovieQuerySet:
    return apps.get_model(STATES[name][0]).objects.order_by()


def _count(name: str) -> dict[int, int]:
    return dict(_rows(name).values_list(STATES[name][1]).annotate(Count("pk")))
