"""The day on which a film of somebody's list comes out: read from TMDb once a day, told once, silently, by day."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from django.db import transaction
from django.db.models import F, Q
from django.utils import translation
from django.utils.translation import gettext as _

from config.jobs.enqueue import StopEvent
from movies.cards import display_title
from movies.models import Movie
from movies.tmdb import BadRequest, NotFound, TMDb, TMDbError
from ratings.models import ReleaseDate, ReleaseReading, WatchlistEntry
from ratings.watchlist.unasked import tell
from users import countries
from users.models import User

if TYPE_CHECKING:
    from config.bot.replies import KeyboardButton
    from movies.models import MovieQuerySet

log = logging.getLogger(__name__)

READ_AGAIN_SECONDS = 20 * 3600  # a day, less what a run may be late
MAX_AGE = timedelta(days=400)  # of a film that may still come out somewhere
MAX_READ = 300  # films in one run
CINEMA_TYPES, ONLINE_TYPES = (2, 3), (4,)  # of TMDb's releases; the others: premiere, disc, television


class Release(NamedTuple):
    country: str
    day: date
    online: bool


def movies_to_read() -> MovieQuerySet:
    """Movies of lists that may have a release to come, and of which TMDb has not been asked today."""
    today = datetime.now(UTC).date()
    recent = Q(release_date=None) | Q(release_date__gt=today - MAX_AGE)
    read = ReleaseReading.objects.filter(read_at__gt=int(time.time()) - READ_AGAIN_SECONDS)
    listed = WatchlistEntry.objects.filter(release_told_at=None, user__tells_releases=True)
    movies = Movie.objects.filter(recent, pk__in=listed.values("movie_id"))
    return movies.exclude(pk__in=read.values("movie_id")).order_by("release_reading__read_at", "pk")


def read_release_dates(deadline: float, stop: StopEvent) -> int:
    """Ask TMDb when these movies come out; returns of how many. One that fails is asked for the next day."""
    read = 0
    for movie_id in list(movies_to_read().values_list("pk", flat=True)[:MAX_READ]):
        if stop.is_set() or time.monotonic() > deadline:
            break
        try:
            releases = releases_in(TMDb().release_dates(movie_id))
        except (NotFound, BadRequest):
            releases = set()
        except TMDbError as error:
            log.warning("release dates wait for TMDb: %s", error)
            break
        save(movie_id, releases)
        read += 1
    return read


def releases_in(answer: dict[str, object]) -> set[Release]:
    """The releases in an answer of /movie/{id}/release_dates; what is no such thing is left out."""
    found = set()
    results = answer.get("results")
    rows = [row for row in results if isinstance(row, dict)] if isinstance(results, list) else []
    for row in rows:
        country, dates = row.get("iso_3166_1"), row.get("release_dates")
        for one in [one for one in dates if isinstance(one, dict)] if isinstance(dates, list) else []:
            kind, day = one.get("type"), str(one.get("release_date"))[:10]
            if not isinstance(country, str) or len(country) != 2 or kind not in (*CINEMA_TYPES, *ONLINE_TYPES):
                continue
            with suppress(ValueError):
                found.add(Release(country, date.fromisoformat(day), kind in ONLINE_TYPES))
    return found


@transaction.atomic
def save(movie_id: int, releases: set[Release]) -> None:
    if not Movie.objects.select_for_update(no_key=True).filter(pk=movie_id).exists():
        return
    ReleaseReading.objects.update_or_create(pk=movie_id, defaults={"read_at": int(time.time())})
    ReleaseDate.objects.filter(movie_id=movie_id).delete()
    ReleaseDate.objects.bulk_create([ReleaseDate(movie_id=movie_id, **one._asdict()) for one in sorted(releases)])


def tell_releases(deadline: float, stop: StopEvent) -> int:
    """Tell everybody whose film comes out today in their country; returns how many were told."""
    now = time.time()
    today = datetime.fromtimestamp(now, UTC).date()
    days = [today + timedelta(days=number) for number in (-1, 0, 1)]  # somewhere it is that day
    entries = WatchlistEntry.objects.filter(
        release_told_at=None,
        user__in=User.objects.reachable().filter(tells_releases=True),
        movie__release_dates__day__in=days,
    ).annotate(
        day=F("movie__release_dates__day"),
        country=F("movie__release_dates__country"),
        online=F("movie__release_dates__online"),
    )
    told = 0
    for entry in entries.select_related("user", "movie").order_by("user_id", "online", "movie_id").iterator():
        if stop.is_set() or time.monotonic() > deadline:
            break
        home = entry.user.home
        is_today = entry.country == home and entry.day == countries.local_time(home, now).date()
        if is_today and countries.is_daytime(home, now):
            told += tell_release(entry, entry.online)
    return told


def tell_release(entry: WatchlistEntry, online: bool) -> bool:
    with translation.override(entry.user.language):
        title = escape(display_title(entry.movie, 100))
        if online:
            text = _("🔖 Out online today: “%(title)s”, from your watchlist.") % {"title": title}
        else:
            text = _("🔖 In cinemas from today: “%(title)s”, from your watchlist.") % {"title": title}
        rows: list[list[KeyboardButton]] = [
            [(_("Open the card"), f"card:{entry.movie_id}")],
            [(_("Stop telling me about releases"), "releases:off")],
        ]
    return tell(entry, "release_told_at", text, rows)
