"""Lists of films to see: a person's, read-only, what TMDb has still to hear of them, and counts on the front page.

A model with a composite key cannot be registered in the admin, so a list has a page of its own, as ratings have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from django.contrib import admin
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin.formatting import EMPTY, format_datetime
from config.admin.model_admin import ReadOnlyAdmin
from config.admin.site import Widget, dashboard_widget, page, render_page
from ratings.admin.ratings import PAGE_SIZE, keyset_after, parse_cursor
from ratings.models import WatchlistEntry, WatchlistWrite
from users.models import User

ORDER = ("added_at", "place", "movie_id")
MAX_COUNTED = 100_000


@page("watchlist/user/<int:user_id>/", "watchlist_of_user", "users.view_user")
def watchlist_of_user(request: HttpRequest, user_id: int) -> TemplateResponse:
    """What a person wants to see, newest first, and whether TMDb has it."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise Http404
    rows = WatchlistEntry.objects.filter(user=user).select_related("movie")
    if after := parse_cursor(request.GET.get("after", ""), len(ORDER)):
        rows = rows.filter(keyset_after(ORDER, after))
    found = list(rows.order_by(*(f"-{field}" for field in ORDER))[: PAGE_SIZE + 1])
    last = found[PAGE_SIZE - 1] if len(found) > PAGE_SIZE else None
    movie_ids = [entry.movie_id for entry in found]
    writes = {one.movie_id: one for one in WatchlistWrite.objects.filter(user=user, movie_id__in=movie_ids)}
    removals = WatchlistWrite.objects.filter(user=user, wanted=False).select_related("movie").order_by("pk")
    return render_page(
        request,
        "ratings/admin/watchlist.html",
        _("Watchlist of %s") % user_id,
        rows=[
            (entry.movie, format_datetime(entry.added_at), at_tmdb(entry, user), writes.get(entry.movie_id))
            for entry in found[:PAGE_SIZE]
        ],
        taken_off=[] if after else list(removals[:PAGE_SIZE]),
        next_cursor=last and ".".join(str(getattr(last, field)) for field in ORDER),
        after=after,
        owner=user,
        opts=User._meta,
    )


def at_tmdb(entry: WatchlistEntry, user: User) -> bool:
    return entry.tmdb_account_id is not None and entry.tmdb_account_id == user.tmdb_account_id


@admin.register(WatchlistWrite)
class WatchlistWriteAdmin(ReadOnlyAdmin[WatchlistWrite]):
    """What TMDb has still to hear, with why it has not."""

    list_display = ("person", "film", "what", "failed_attempts", "next_try", "reason")
    fieldsets = [(None, {"fields": list_display})]
    list_select_related = ("movie",)
    ordering = ("-pk",)

    @admin.display(description=gettext_lazy("person"))
    def person(self, write: WatchlistWrite) -> SafeString:
        url = reverse("admin:users_user_change", args=[write.user_id])
        return format_html('<a href="{}">{}</a>', url, write.user_id)

    @admin.display(description=gettext_lazy("film"))
    def film(self, write: WatchlistWrite) -> str:
        return str(write.movie)

    @admin.display(description=gettext_lazy("attempts"))
    def failed_attempts(self, write: WatchlistWrite) -> int:
        return write.attempts

    @admin.display(description=gettext_lazy("reason"))
    def reason(self, write: WatchlistWrite) -> str:
        return write.error or EMPTY

    @admin.display(description=gettext_lazy("change"))
    def what(self, write: WatchlistWrite) -> str:
        if write.refused:
            return _("refused by TMDb")
        return _("put on the list") if write.wanted else _("take off the list")

    @admin.display(description=gettext_lazy("next attempt"), ordering="next_try_at")
    def next_try(self, write: WatchlistWrite) -> str:
        return EMPTY if write.refused or not write.next_try_at else str(format_datetime(write.next_try_at))


@dataclass(kw_only=True)
class WatchlistsWidget(Widget):
    template: ClassVar[str] = "ratings/admin/watchlists.html"
    people: int
    films: str
    waiting: int
    refused: int


@dashboard_widget(45, "ratings.view_watchlistwrite")
def watchlists_widget(request: HttpRequest) -> WatchlistsWidget:
    films = WatchlistEntry.objects.order_by()[: MAX_COUNTED + 1].count()
    return WatchlistsWidget(
        id="watchlists",
        title=_("Watchlists"),
        url=reverse("admin:ratings_watchlistwrite_changelist"),
        people=User.objects.filter(pk__in=WatchlistEntry.objects.order_by()[:MAX_COUNTED].values("user_id")).count(),
        films=str(films) if films <= MAX_COUNTED else f"{MAX_COUNTED}+",
        waiting=WatchlistWrite.objects.filter(refused=False).count(),
        refused=WatchlistWrite.objects.filter(refused=True).count(),
    )
