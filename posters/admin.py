"""Posters in the back office: their pictures, and how many came in hour by hour."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import F, Sum
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.admin.charts import columns
from config.admin.site import failures, moment, page, panel
from config.models import MetricCount
from movies.models import Movie
from posters.thumbnails import thumbnail

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIRequest
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

HOURS = 24


@page("posters/<int:movie_id>.jpg", "thumbnail", "movies.view_movie")
def picture(request: HttpRequest, movie_id: int):
    """A film's poster, small; the address changes with the poster, so that browsers may keep it."""
    movie = Movie.objects.only("local_path", "telegram_file_id").filter(pk=movie_id).first()
    content = movie and thumbnail(movie)
    if not content:
        raise Http404
    return HttpResponse(content, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})


@admin.display(description=gettext_lazy("picture"), empty_value="")
def poster_picture(movie: Movie) -> SafeString | str:
    source = movie.local_path or movie.telegram_file_id
    if not source:
        return ""
    version = hashlib.sha256(source.encode()).hexdigest()[:8]
    url = f"{reverse('admin:thumbnail', args=[movie.pk])}?{version}"
    return format_html('<img class="thumbnail" src="{}" alt="" loading="lazy" width="40" height="60">', url)


office: Any = admin.site.get_model_admin(Movie)
office.list_display = (poster_picture, *office.list_display)
office.readonly_fields = (*office.readonly_fields, poster_picture)
office.fieldsets[1][1]["fields"] = (poster_picture, *office.fieldsets[1][1]["fields"])


@panel(30, "movies.view_movie", "posters/office/hours.html")
def posters_by_the_hour(request: WSGIRequest) -> dict[str, str | int | SafeString | list[str]]:
    # hours of the viewer's clock, so that the labels are whole where a zone is half an hour off
    now = timezone.localtime()
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    begin = int(first.timestamp())
    counted = MetricCount.objects.filter(name="posters.uploaded", minute__gte=begin)
    by_hour = counted.values_list((F("minute") - begin) / 3600).annotate(Sum("number"))
    numbers = [0] * HOURS
    for hour, number in by_hour:
        if 0 <= hour < HOURS:
            numbers[hour] = number
    names = []
    for hour, number in enumerate(numbers):
        start = formats.time_format(timezone.localtime(moment(begin + hour * 3600)), "H:i")
        names.append(f"{start}: {number}")
    total = sum(numbers)
    return {
        "id": "posters",
        "title": _("Posters per hour"),
        "url": f"{reverse('admin:movies_movie_changelist')}?poster_status__exact=2",
        "total": total,
        "peak": max(numbers),
        "chart": columns(
            numbers,
            ngettext(
                "%(total)d poster in 24 hours, at most %(peak)d in one",
                "%(total)d posters in 24 hours, at most %(peak)d in one",
                total,
            )
            % {"total": total, "peak": max(numbers)},
            names,
        ),
        "ticks": [
            formats.time_format(timezone.localtime(moment(begin + hour * 3600)), "H:i") for hour in (0, 6, 12, 18)
        ],
    }


@failures("movies.view_movie")
def failed_posters() -> Iterator[tuple[str, str, int, str]]:
    url = f"{reverse('admin:movies_movie_changelist')}?poster=failed"
    counted = MetricCount.objects.filter(name__startswith="failed:posters:", minute__gt=time.time() - 86_400)
    for name, number in counted.values_list("name").annotate(Sum("number")):
        yield _("poster"), name.removeprefix("failed:posters:"), number, url
