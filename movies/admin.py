"""Movies in the admin."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy
from telebot.apihelper import ApiException

from config.admin.actions import row_action
from config.admin.formatting import DAY_SECONDS, EMPTY, badge, format_age, format_datetime
from config.admin.model_admin import ConditionFilter, ReadOnlyAdmin, parse_id
from config.admin.site import dashboard_widget, page, render_page
from config.admin.status_counts import Note, StatusCountsWidget, status_counts_widget
from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.router import LANGUAGES
from config.jobs.enqueue import async_task
from movies.cards import buttons, caption
from movies.models import (
    NEVER,
    POSTER_FAILED,
    UNFINISHED,
    Movie,
    MovieQuerySet,
    PosterPriority,
    PosterStatus,
    casefolded_text,
    longest_waiting_poster,
    place_in_poster_queue,
    poster_failed_since,
    upload_seconds,
)

MONTH_SECONDS = 30 * DAY_SECONDS
MAX_FAILURES_COUNTED = 1000
MAX_PLACE_COUNTED = 20_000  # in the queue of posters
TONES = {
    PosterStatus.TELEGRAM: "good",
    PosterStatus.LOCAL: "ready",
    PosterStatus.WAITING: "busy",
    PosterStatus.NONE: "idle",
}


class PosterFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("poster pipeline"), "poster"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        now = int(time.time())
        unfinished = Q(poster_status__in=UNFINISHED)
        return {
            "asked": (_("requested, not uploaded yet"), unfinished & Q(poster_priority=PosterPriority.ASKED)),
            "due": (_("due now"), unfinished & Q(poster_next_try_at__lte=now)),
            "later": (_("to be tried later"), unfinished & Q(poster_next_try_at__gt=now, poster_next_try_at__lt=NEVER)),
            "failed": (_("failed or paused"), POSTER_FAILED & ~Q(poster_error="")),
            "error": (_("with an error"), ~Q(poster_error="")),
            "day": (_("failed within a day"), poster_failed_since(now - DAY_SECONDS)),
        }


class YearFilter(admin.SimpleListFilter):
    """The latest years one by one, then decades: a fixed list, since asking the table would read all of it."""

    title, parameter_name = gettext_lazy("year"), "year"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        now = time.gmtime().tm_year
        years = [(str(year), str(year)) for year in range(now, now - 4, -1)]
        decades = [(f"{year}s", _("%ds") % year) for year in range(now // 10 * 10, 1919, -10)]
        return [*years, *decades, ("earlier", _("earlier")), ("unknown", _("unknown"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        if value == "unknown":
            return queryset.filter(year=None)
        if value == "earlier":
            return queryset.filter(year__lt=1920)
        if value.removesuffix("s").isdecimal() and len(value) < 6:
            first = int(value.removesuffix("s"))
            return queryset.filter(year__range=(first, first + 9 if value.endswith("s") else first))
        return queryset


class MetadataFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("age of metadata"), "read"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        now = int(time.time())
        five_months_ago, three_months_ago = now - 5 * MONTH_SECONDS, now - 3 * MONTH_SECONDS
        return {
            "never": (_("known from a list only"), Q(details_at=None)),
            "asked": (_("to be read again"), Q(details_at=0)),
            "old": (_("over five months"), Q(details_at__range=(1, five_months_ago))),
            "ripe": (_("three to five months"), Q(details_at__range=(five_months_ago, three_months_ago))),
            "fresh": (_("under three months"), Q(details_at__gt=three_months_ago)),
        }


@admin.register(Movie)
class MovieAdmin(ReadOnlyAdmin[Movie]):
    list_display: tuple[Any, ...] = ("movie", "poster", "year", "id", "last_error", "metadata_read")
    list_display_links = ("id", "movie")
    list_filter = (("poster_status", admin.ChoicesFieldListFilter), PosterFilter, YearFilter, MetadataFilter)
    search_fields = ("search_text",)
    search_help_text = gettext_lazy("words of the title, in any script and case, or a TMDb id")
    sortable_by = ("id",)
    actions = ("requeue_posters", "keep_old_posters", "read_again", "pause_posters", "resume_posters")
    change_form_template = "movies/admin/movie.html"
    fieldsets = [
        (None, {"fields": ("id", "title", "original_title", "overview")}),
        (
            gettext_lazy("Poster"),
            {
                "fields": (
                    "poster",
                    "poster_priority",
                    "attempts",
                    "last_error",
                    "next_try",
                    "place",
                    "size_in_telegram",
                )
            },
        ),
        (
            gettext_lazy("Metadata"),
            {
                "fields": (
                    *("release_date", "runtime", "vote_average", "vote_count", "popularity"),
                    *("poster_path", "metadata_read"),
                )
            },
        ),
    ]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("movies.change_movie")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Movie]:
        return super().get_queryset(request).defer("search_text")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Movie], search_term: str
    ) -> tuple[QuerySet[Movie], bool]:
        """Movies whose titles hold all the words, and the one with this id: SQLite's own LIKE folds only ASCII."""
        words = casefolded_text(search_term).split()
        if words:
            Movie.objects.fill_search_text()
        found = queryset
        for part in words:
            found = found.filter(search_text__contains=part)
        movie_id = parse_id(search_term)
        if movie_id is not None and movie_id < 2**31:
            found |= queryset.filter(pk=movie_id)
        return found, False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may_act = self.has_act_permission(request)
        movie = Movie.objects.filter(pk__in=[parse_id(object_id) or 0] if may_act else [])
        context = {"may_act": may_act, "offered": offered_actions(movie)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    @admin.display(description=gettext_lazy("title"))
    def movie(self, movie: Movie) -> str:
        return movie.title or movie.original_title or str(movie.pk)

    @admin.display(description=gettext_lazy("poster"))
    def poster(self, movie: Movie) -> SafeString:
        if movie.poster_status in UNFINISHED and movie.poster_next_try_at >= NEVER:
            return badge("bad", _("paused"))
        if movie.poster_status == PosterStatus.NONE and movie.poster_path and movie.poster_error:
            return badge("bad", _("given up"))
        return badge(TONES[PosterStatus(movie.poster_status)], movie.get_poster_status_display())

    @admin.display(description=gettext_lazy("attempts"))
    def attempts(self, movie: Movie) -> str:
        return str(movie.poster_attempts or EMPTY)

    @admin.display(description=gettext_lazy("last error"))
    def last_error(self, movie: Movie) -> str:
        return movie.poster_error or EMPTY

    @admin.display(description=gettext_lazy("next try"))
    def next_try(self, movie: Movie) -> str:
        if movie.poster_status not in UNFINISHED:
            return EMPTY
        if movie.poster_next_try_at >= NEVER:
            return _("paused")
        return _("now") if movie.poster_next_try_at <= time.time() else format_datetime(movie.poster_next_try_at)

    @admin.display(description=gettext_lazy("place in the queue"))
    def place(self, movie: Movie) -> str:
        before = place_in_poster_queue(movie, MAX_PLACE_COUNTED)
        if before is None:
            return EMPTY
        number = f"{before + 1}" if before < MAX_PLACE_COUNTED else f"{MAX_PLACE_COUNTED}+"
        when = _("in about %s") % format_age(upload_seconds(before + 1)) if before < MAX_PLACE_COUNTED else ""
        return f"{number} · {when}" if when else number

    @admin.display(description=gettext_lazy("size in Telegram"))
    def size_in_telegram(self, movie: Movie) -> str:
        return f"{movie.width} × {movie.height}" if movie.width else EMPTY

    @admin.display(description=gettext_lazy("metadata read"))
    def metadata_read(self, movie: Movie) -> SafeString | str:
        return _("to be read again") if movie.details_at == 0 else format_datetime(movie.details_at)

    # --- Actions

    @row_action(
        gettext_lazy("Queue the poster again"),
        done=ngettext_lazy("%d poster queued.", "%d posters queued."),
        nothing=gettext_lazy("Nothing queued: TMDb has no poster of these films."),
        cost=lambda count: upload_time(count),
    )
    def requeue_posters(self, request: HttpRequest, movies: MovieQuerySet) -> int:
        # a few goes before everything; thousands would stand in the way of posters that people ask for
        count = movies.requeue_posters(None if getattr(request, "is_bulk", False) else PosterPriority.ASKED)
        async_task("posters.tasks.download_posters")
        return count

    @row_action(
        gettext_lazy("Undo the requeue"),
        done=ngettext_lazy("%d poster is as it was.", "%d posters are as they were."),
        nothing=gettext_lazy("Nothing taken back: none of these posters is in Telegram and queued again."),
    )
    def keep_old_posters(self, request: HttpRequest, movies: MovieQuerySet) -> int:
        return movies.keep_old_posters()

    @row_action(
        gettext_lazy("Read the metadata again"),
        done=ngettext_lazy("%d film will be read again.", "%d films will be read again."),
        nothing=gettext_lazy("None of these films is there any more."),
    )
    def read_again(self, request: HttpRequest, movies: MovieQuerySet) -> int:
        count = movies.reread_details()
        async_task("movies.tasks.read_details")
        return count

    @row_action(
        gettext_lazy("Pause the poster"),
        done=ngettext_lazy("%d poster paused.", "%d posters paused."),
        nothing=gettext_lazy("Nothing paused: none of these posters is waiting."),
    )
    def pause_posters(self, request: HttpRequest, movies: MovieQuerySet) -> int:
        return movies.suspend_posters(f"paused by {request.user.get_username()}")

    @row_action(
        gettext_lazy("Resume the poster"),
        done=ngettext_lazy("%d poster resumed.", "%d posters resumed."),
        nothing=gettext_lazy("Nothing resumed: none of these posters has failed or is paused."),
    )
    def resume_posters(self, request: HttpRequest, movies: MovieQuerySet) -> int:
        count = movies.poster_failed().requeue_posters()
        async_task("posters.tasks.download_posters")
        return count


def offered_actions(movie: MovieQuerySet) -> list[tuple[str, str]]:
    """(name, label) of the actions that would do something to this movie, for its page."""
    does = {
        "requeue_posters": movie.filter(poster_path__gt=""),
        "keep_old_posters": movie.replacing_posters(),
        "resume_posters": movie.poster_failed(),
        "pause_posters": movie.poster_unfinished(),
        "read_again": movie,
    }
    return [(name, getattr(MovieAdmin, name).short_description) for name, rows in does.items() if rows.exists()]


def upload_time(posters: int) -> str:
    """How long so many uploads take."""
    channels = len(settings.TELEGRAM_POSTER_CHANNELS)
    if not channels:
        return ""
    text = ngettext("About %(time)s with %(n)d channel.", "About %(time)s with %(n)d channels.", channels)
    return text % {"time": format_age(upload_seconds(posters)), "n": channels}


@page("movies/movie/<int:movie_id>/card/", "movies_card", "movies.view_movie")
def card(request: HttpRequest, movie_id: int) -> TemplateResponse:
    """The movie's card as the chat shows it, in every language of the bot."""
    movie = Movie.objects.with_user_rating(None).filter(pk=movie_id).first()
    if movie is None:
        raise Http404
    cards = []
    for language in LANGUAGES:
        with translation.override(language):
            # our own template, escaped for Telegram as it is for a browser
            text = mark_safe(caption(movie))  # noqa: S308  # nosec
            cards.append({"language": language, "caption": text, "rows": button_labels(movie)})
    return render_page(request, "movies/admin/card.html", _("Card in the chat"), movie=movie, cards=cards)


def button_labels(movie: Movie) -> list[list[str]]:
    """The labels of the card's buttons, row by row; none while Telegram does not say what the bot may do."""
    try:
        with max_retry_wait(0):
            rows = buttons(movie)
    except (ApiException, TelegramUnavailable):
        return []
    return [[button[0] if isinstance(button, tuple) else button.text for button in row] for row in rows]


@dashboard_widget(20, "movies.view_movie")
def movies_widget(request: HttpRequest) -> StatusCountsWidget:
    url = reverse("admin:movies_movie_changelist")
    widget = status_counts_widget("movies", _("Films by poster"), Movie, "poster_status", url, TONES)
    if oldest := longest_waiting_poster():
        age = (
            format_age(time.time() - oldest.poster_next_try_at)
            if oldest.poster_next_try_at
            else _("since the beginning")
        )
        text = _("Longest wait: %(film)s, %(age)s (%(reason)s)")
        text %= {"film": oldest, "age": age, "reason": waiting_reason(oldest)}
        widget.notes.append(Note(text, reverse("admin:movies_movie_change", args=[oldest.pk])))
    failed = Movie.objects.poster_failed().exclude(poster_error="")[: MAX_FAILURES_COUNTED + 1].count()
    if failed:
        number = str(failed) if failed <= MAX_FAILURES_COUNTED else f"{MAX_FAILURES_COUNTED}+"
        text = ngettext("%s poster failed or paused", "%s posters failed or paused", failed) % number
        widget.notes.append(Note(text, f"{url}?poster=failed", bad=True))
    return widget


def waiting_reason(movie: Movie) -> str:
    if movie.poster_error:
        return movie.poster_error
    waiting = movie.poster_status == PosterStatus.WAITING
    return _("waiting for the download") if waiting else _("waiting for a channel slot")
