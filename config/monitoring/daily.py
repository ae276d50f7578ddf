"""The table `daily`: one row a day and figure, kept for years, for the charts of the front page and the CSV.

A job writes the figures of today every ten minutes, so that the last of them is nearly the day's end, and those of
yesterday once more after it. An app adds figures with `@figures` in its module figures.py.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple, TextIO

from django.db.models import Sum
from django.utils import timezone

from config.models import DailyFigure, MetricCount

COUNTERS = {  # counter of config.monitoring.metrics: figure
    "cards.by_file_id": "cards_by_file_id",
    "cards.by_bytes": "cards_by_bytes",
    "cards.as_text": "cards_as_text",
    "imports.done": "imports",
    "imports.failed": "imports_failed",
    "carousel.rec.shown": "recommendations_shown",
    "carousel.rec.seen": "recommendations_seen",
    "carousel.rec.wanted": "recommendations_wanted",
    "carousel.rec.rated": "recommendations_rated",
    "updates.failed": "updates_failed",
    "broadcasts.sent": "broadcast_messages",
}
MAX_ROWS_AT_ONCE = 500


class Day(NamedTuple):
    """A day of TIME_ZONE, in UNIX seconds; `is_over`: nothing more is added to it."""

    date: date
    begin: int
    end: int
    is_over: bool


Source = Callable[[Day], Mapping[str, float]]
sources: list[Source] = []


def figures(source: Source) -> Source:
    """Have the function below give figures of a day; those it cannot tell afterwards, only while the day goes on."""
    sources.append(source)
    return source


def day_of(moment: datetime) -> Day:
    """The day of a moment in TIME_ZONE."""
    begin = timezone.localtime(moment).replace(hour=0, minute=0, second=0, microsecond=0)
    end = timezone.make_aware(datetime.combine(begin.date() + timedelta(days=1), datetime.min.time()))
    return Day(begin.date(), int(begin.timestamp()), int(end.timestamp()), time.time() >= end.timestamp())


@figures
def counted(day: Day) -> Mapping[str, float]:
    """What all processes have counted."""
    rows = MetricCount.objects.filter(name__in=COUNTERS, minute__gte=day.begin, minute__lt=day.end)
    found = dict(rows.values_list("name").annotate(Sum("number")))
    return {figure: found.get(name, 0) for name, figure in COUNTERS.items()}


def update() -> int:
    """Write the figures of yesterday and today; returns how many that were."""
    now = timezone.now()
    today = day_of(now)
    return sum(write(day) for day in (day_of(now - timedelta(days=1)), today) if day.date <= today.date)


def write(day: Day) -> int:
    rows = [
        DailyFigure(day=day.date, name=name[:100], number=number)
        for source in sources
        for name, number in source(day).items()
    ]
    DailyFigure.objects.bulk_create(
        rows, MAX_ROWS_AT_ONCE, update_conflicts=True, unique_fields=["day", "name"], update_fields=["number"]
    )
    return len(rows)


def series(names: list[str], days: int) -> dict[str, list[float]]:
    """{figure: its numbers of the last days, oldest first}; 0 where nothing was written."""
    today = timezone.localdate()
    first = today - timedelta(days=days - 1)
    found: dict[str, list[float]] = {name: [0.0] * days for name in names}
    rows = DailyFigure.objects.filter(name__in=names, day__range=(first, today))
    for name, day, number in rows.values_list("name", "day", "number"):
        found[name][(day - first).days] = number
    return found


def csv_lines(out: TextIO) -> Iterator[None]:
    """Write day, figure, number of everything, a row at a time."""
    writer = csv.writer(out)
    writer.writerow(["day", "figure", "number"])
    yield
    for day, name, number in (
        DailyFigure.objects.order_by("day", "name").values_list("day", "name", "number").iterator()
    ):
        writer.writerow([day.isoformat(), name, int(number) if number == int(number) else number])
        yield
