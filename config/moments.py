"""Stored moments (UNIX seconds) in queries, by a clock that may have been set back since they were stored.

A moment that lies further ahead than the rule that set it allows counts as come.
"""

import time

from django.db.models import F, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Least, Power

MAX_DIFFERENCE_SECONDS = 60  # between the clocks of two machines
MAX_DOUBLINGS = 20


def ahead(column: str, longest: float | Combinable) -> Q:
    """Rows whose moment is to come; `longest`: by how many seconds it was ahead at most when it was stored."""
    now = int(time.time())
    return Q(**{f"{column}__gt": now, f"{column}__lte": now + MAX_DIFFERENCE_SECONDS + longest})


def lately(column: str, seconds: float) -> Q:
    """Rows whose moment lies in the last so many seconds."""
    now = int(time.time())
    return Q(**{f"{column}__gt": now - seconds, f"{column}__lte": now + MAX_DIFFERENCE_SECONDS})


def doubled(seconds: float, most: float) -> Combinable:
    """A row's delay that begins with so many seconds and doubles with each of its `attempts`, up to `most`."""
    return Least(seconds * Power(Value(2), Least(F("attempts"), Value(MAX_DOUBLINGS))), Value(most))
