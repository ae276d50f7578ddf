"""What the ratings know of a person, on their page in the admin; and what /recommend would say to them now."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin.formatting import EMPTY, format_datetime
from config.admin.site import page, render_page
from movies.models import Movie
from ratings.models import FileImport, MatchResult
from ratings.recommendations.recommender import movies_to_rate_first, recommend
from users.models import User

MAX_FILES_SHOWN = 5


@admin.display(description=gettext_lazy("total ratings"))
def ratings_in_all(user: User) -> int:
    return user.ratings.count()


@admin.display(description=gettext_lazy("to be written to TMDb"))
def pending_writes(user: User) -> int:
    return user.pending_writes.count()


@admin.display(description=gettext_lazy("watchlist"))
def watchlist_link(user: User) -> SafeString | str:
    entries, writes = user.watchlist.count(), user.watchlist_writes.count()
    if not entries and not writes:
        return EMPTY
    waiting = "" if not writes else " · " + _("to be written to TMDb") + f": {writes}"
    url = reverse("admin:watchlist_of_user", args=[user.pk])
    return format_html('<a href="{}">{}</a>{}', url, entries, waiting)


@admin.display(description=gettext_lazy("matches"))
def matches(user: User) -> int:
    return MatchResult.objects.filter(Q(one=user) | Q(other=user)).count()


@admin.display(description=gettext_lazy("files"))
def files(user: User) -> SafeString | str:
    rows = [
        (format_datetime(file.sent_at), ", ".join(file.found.get("titles", [])) or EMPTY, file_state(file))
        for file in user.file_imports.order_by("-pk")[:MAX_FILES_SHOWN]
    ]
    return format_html_join("", "<div>{} · {} · {}</div>", rows) or EMPTY


def file_state(file: FileImport) -> str:
    if file.error:
        return _("failed") + f": {file.error}"
    return _("done") if file.finished_at else _("running")


@admin.display(description=gettext_lazy("recommendations"))
def recommendations_link(user: User) -> SafeString:
    url = reverse("admin:recommendations_of_user", args=[user.pk])
    return format_html('<a href="{}">{}</a>', url, _("what it would say now"))


@page("ratings/user/<int:user_id>/recommendations/", "recommendations_of_user", "users.view_user")
def recommendations_of_user(request: HttpRequest, user_id: int) -> TemplateResponse:
    """What /recommend would say to a person now; without ratings, the films it would offer to rate first."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise Http404
    found = recommend(user_id)
    first = [] if found else movies_to_rate_first(user_id)
    wanted = {*first, *(movie_id for one in found for movie_id in one if movie_id)}
    movies = Movie.objects.with_user_rating(user_id).in_bulk(wanted)
    rows = [(movies[one.movie_id], movies.get(one.because or 0)) for one in found if one.movie_id in movies]
    title = _("Recommendations for %s") % (user.first_name or user.pk)
    context: dict[str, Any] = {
        "rows": rows,
        "first": [movies[pk] for pk in first if pk in movies],
        "owner": user,
        "opts": User._meta,
    }
    return render_page(request, "ratings/admin/recommendations.html", title, **context)


user_admin: Any = admin.site.get_model_admin(User)  # Any: its fieldsets are changed in place
columns = (ratings_in_all, pending_writes, watchlist_link, matches, files, recommendations_link)
user_admin.readonly_fields = (*user_admin.readonly_fields, *columns)
user_admin.fieldsets[-1][1]["fields"] = (*user_admin.fieldsets[-1][1]["fields"], *columns)
