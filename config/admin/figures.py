"""Figures over time: three charts of 90 days on the front page, and a CSV of everything."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from django.http import HttpRequest, StreamingHttpResponse
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from config.admin.charts import columns
from config.admin.site import Widget, dashboard_widget, page
from config.monitoring import daily

DAYS = 90


class Chart(NamedTuple):
    title: str
    latest: int
    peak: int
    picture: SafeString


@dataclass(kw_only=True)
class FiguresWidget(Widget):
    template = "config/figures.html"
    charts: list[Chart]
    ticks: list[str]


@dashboard_widget(35, "users.view_user")
def figures_widget(request: HttpRequest) -> FiguresWidget:
    titles = {"active_day": _("People active in a day"), "new_people": _("New people"), "ratings": _("Ratings")}
    series = daily.series(list(titles), DAYS)
    first = timezone.localdate() - timedelta(days=DAYS - 1)
    labels = [formats.date_format(first + timedelta(days=number), "j E") for number in range(DAYS)]
    return FiguresWidget(
        id="figures",
        title=_("The last 90 days"),
        url=reverse("admin:figures_csv"),
        charts=[chart(title, series[name], labels) for name, title in titles.items()],
        ticks=labels[::30],
    )


def chart(title: str, numbers: list[float], labels: list[str]) -> Chart:
    whole = [int(number) for number in numbers]
    peak = max(whole)
    text = _("%(title)s: %(latest)d today, at most %(peak)d") % {"title": title, "latest": whole[-1], "peak": peak}
    names = [f"{label}: {number}" for label, number in zip(labels, whole, strict=True)]
    return Chart(title, whole[-1], peak, columns(whole, text, names))


@page("figures.csv", "figures_csv", "users.view_user")
def figures_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Every figure of every day."""

    def lines() -> Iterator[str]:
        out = io.StringIO()
        for _line in daily.csv_lines(out):
            yield out.getvalue()
            out.seek(0)
            out.truncate()

    headers = {"Content-Disposition": 'attachment; filename="kinoteka-daily.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)
