"""A dashboard widget that counts a table's rows by their status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from django.db.models import IntegerChoices, Model
from django.utils.safestring import SafeString

from config.admin.charts import bar
from config.admin.formatting import to_datetime
from config.admin.site import Widget
from config.monitoring.metrics import count_by_status

ChoiceT = TypeVar("ChoiceT", bound=IntegerChoices)


class StatusCount(NamedTuple):
    tone: str
    label: str
    number: int
    url: str


class Note(NamedTuple):
    text: str
    url: str
    bad: bool = False


@dataclass(kw_only=True)
class StatusCountsWidget(Widget):
    template = "config/status_counts.html"
    total: int
    bar: SafeString
    statuses: list[StatusCount]
    counted_at: datetime | None
    notes: list[Note] = field(default_factory=list)


def status_counts_widget(
    id: str, title: str, model: type[Model], column: str, url: str, tones: Mapping[ChoiceT, str]
) -> StatusCountsWidget:
    """Count the model's rows by the statuses of `tones`, in their order; each count links to the list it counts."""
    counts, counted_at = count_by_status(model, column)
    statuses = [
        StatusCount(tone, str(status.label), counts.get(status.value, 0), f"{url}?{column}__exact={status.value}")
        for status, tone in tones.items()
    ]
    return StatusCountsWidget(
        id=id,
        title=title,
        url=url,
        total=sum(counts.values()),
        bar=bar([(status.tone, status.number) for status in statuses]),
        statuses=statuses,
        counted_at=to_datetime(counted_at),
    )
