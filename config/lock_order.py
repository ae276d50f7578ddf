"""Many rows are locked in the order of their keys by everybody, so that no two transactions wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import OperationalError, transaction

if TYPE_CHECKING:
    from django.db.models import QuerySet


LOST = ("40P01", "40001")  # PostgreSQL's codes of a deadlock and of a failed serialization

T = TypeVar("T")


def is_lost(error: OperationalError) -> bool:
    """Whether the database has ended a transaction for another's sake: made once more, it may succeed."""
    return getattr(error.__cause__, "sqlstate", None) in LOST


def again_if_lost(write: Callable[[], T], times: int = 3) -> T:
    """The result of a whole transaction, made so many times more where the database has ended it for another's."""
    for _time in range(times):
        try:
            return write()
        except OperationalError as error:
            if not is_lost(error):
                raise
    return write()


def lock_rows(rows: QuerySet[Any]) -> list[Any]:
    """Lock these rows until the transaction ends; their keys."""
    return list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))


@transaction.atomic
def update_rows(rows: QuerySet[Any], **columns: Any) -> int:
    """QuerySet.update() of rows that others write, too: it would lock them in whatever order it finds them."""
    chosen = rows.order_by("pk").select_for_update(no_key=True).values("pk")
    return int(rows.model._default_manager.filter(pk__in=chosen).update(**columns))
