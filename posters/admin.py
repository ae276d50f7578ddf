"""Posters in the admin: their thumbnails, and how many were uploaded hour by hour."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import F, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.log import log_response
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.admin.charts import columns
from config.admin.formatting import DAY_SECONDS, format_hour
from config.admin.site import Failure, Widget, dashboard_widget, failures, page
from config.models import MetricCount
from movies.models import Movie, PosterStatus, poster_failed_since
from posters.thumbnails import thumbnail

HOURS = 24
MAX_FAILED_READ = 20_000  # for the front page; of more, it says no causes
FILMS_OWN = re.compile(r"/\S+:? *|\b\d{4,}\b")  # what an error says of one film alone: a path, a number

log = logging.getLogger(__name__)


@page("posters/<int:movie_id>.jpg", "thumbnail", "movies.view_movie")
def thumbnail_image(request: HttpRequest, movie_id: int) -> HttpResponse:
    """A movie's poster, small; its address changes with the poster, so that browsers may cache it."""
    movie = Movie.objects.only("local_path", "telegram_file_id").filter(pk=movie_id).first()
    content = movie and thumbnail(movie)
    if not content:
        response = HttpResponse(status=404)
        # a list has fifty of these while Telegram is away: too usual for Django's warning
        log_response(
            "no thumbnail of movie %s", movie_id, response=response, request=request, logger=log, level="debug"
        )
        return response
    return HttpResponse(content, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})


@admin.display(description=gettext_lazy("picture"), empty_value="")
def poster_picture(movie: Movie) -> SafeString | str:
    source = movie.local_path or movie.telegram_file_id
    if not source:
        return ""
    version = hashlib.sha256(source.encode()).hexdigest()[:8]
    url = f"{reverse('admin:thumbnail', args=[movie.pk])}?{version}"
    return format_html('<img class="thumbnail" src="{}" alt="" loading="lazy" width="40" height="60">', url)


movie_admin: Any = admin.site.get_model_admin(Movie)  # movies.admin.MovieAdmin; Any: its fieldsets are changed in place
movie_admin.list_display = (poster_picture, *movie_admin.list_display)
movie_admin.readonly_fields = (*movie_admin.readonly_fields, poster_picture)
movie_admin.fieldsets[1][1]["fields"] = (poster_picture, *movie_admin.fieldsets[1][1]["fields"])


@dataclass(kw_only=True)
class PostersWidget(Widget):
    template = "posters/admin/hours.html"
    total: int
    peak: int
    chart: SafeString
    ticks: list[str]


@dashboard_widget(30, "movies.view_movie")
def posters_widget(request: HttpRequest) -> PostersWidget:
    """Uploads in the last 24 hours of the viewer's clock, so that the labels are full hours in every time zone."""
    now = timezone.localtime()
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    begin = int(first.timestamp())
    counted = MetricCount.objects.filter(name="posters.uploaded", minute__gte=begin)
    numbers = [0] * HOURS
    for hour, number in counted.values_list((F("minute") - begin) / 3600).annotate(Sum("number")):
        if 0 <= hour < HOURS:
            numbers[hour] = number
    labels = [format_hour(begin + hour * 3600) for hour in range(HOURS)]
    total, peak = sum(numbers), max(numbers)
    text = ngettext(
        "%(total)d poster in 24 hours, at most %(peak)d in one",
        "%(total)d posters in 24 hours, at most %(peak)d in one",
        total,
    ) % {"total": total, "peak": peak}
    names = [f"{label}: {number}" for label, number in zip(labels, numbers, strict=True)]
    return PostersWidget(
        id="posters",
        title=_("Posters per hour"),
        url=f"{reverse('admin:movies_movie_changelist')}?poster_status__exact={PosterStatus.TELEGRAM.value}",
        total=total,
        peak=peak,
        chart=columns(numbers, text, names),
        ticks=labels[::6],
    )


@failures("movies.view_movie")
def failed_posters() -> Iterator[Failure]:
    """Films whose poster failed within the day, each once, by cause; its link lists just those."""
    url = f"{reverse('admin:movies_movie_changelist')}?poster=day"
    failed = Movie.objects.filter(poster_failed_since(int(time.time()) - DAY_SECONDS))
    total = failed.order_by().count()
    if total > MAX_FAILED_READ:
        yield Failure(_("poster"), _("various causes"), total, url)
        return
    causes: Counter[tuple[str, str]] = Counter()
    for error in failed.order_by().values_list("poster_error", flat=True):
        causes[cause_of(error)] += 1
    for (cause, pattern), number in causes.items():
        yield Failure(_("poster"), cause, number, f"{url}&{urlencode({'poster_error__regex': pattern})}")


def cause_of(error: str) -> tuple[str, str]:
    """An error without the path and the numbers of its film, and a regular expression of all with the same cause."""
    text, pattern, end = "", "", 0
    for match in FILMS_OWN.finditer(error):
        before = error[end : match.start()]
        is_path = match[0].startswith("/")
        text += before + ("" if is_path else "…")
        pattern += re.escape(before) + (r"/\S+:? *" if is_path else r"\d{4,}")
        end = match.end()
    return (text + error[end:]).strip(), f"^{pattern}{re.escape(error[end:])}$"
