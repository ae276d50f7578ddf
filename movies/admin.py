"""Films in the back office."""

import time

from django.contrib import admin
from django.db.models import Q
from django.http import Http404
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot.apihelper import ApiException

from config.admin.charts import bar
from config.admin.pagination import BigTablePaginator, big_table_list
from config.admin.site import NOTHING, ago, back, moment, nobody, page, panel, show, when, word
from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.router import LANGUAGES
from config.jobs.enqueue import async_task
from config.monitoring import status_counts
from movies.cards import buttons, caption
from movies.models import SET_ASIDE, Movie, PosterNeed, PosterStatus, folded_text

MONTH = 30 * 86_400
TONES = {
    PosterStatus.TELEGRAM: "good",
    PosterStatus.LOCAL: "ready",
    PosterStatus.WAITING: "busy",
    PosterStatus.NONE: "idle",
}
UNFINISHED = [PosterStatus.WAITING, PosterStatus.LOCAL]


class PosterFilter(admin.SimpleListFilter):
    title, parameter_name = gettext_lazy("poster's way"), "poster"

    def lookups(self, request, model_admin):
        return [
            ("asked", _("asked for but not uploaded")),
            ("due", _("due now")),
            ("later", _("to be tried later")),
            ("failed", _("given up or set aside")),
        ]

    def queryset(self, request, films):
        unfinished = films.filter(poster_status__in=UNFINISHED)
        if self.value() == "asked":
            return unfinished.filter(poster_need=PosterNeed.ASKED)
        if self.value() == "due":
            return unfinished.filter(poster_next_try_at__lte=int(time.time()))
        if self.value() == "later":
            return unfinished.filter(poster_next_try_at__gt=int(time.time()), poster_next_try_at__lt=SET_ASIDE)
        if self.value() == "failed":
            return films.poster_failed().exclude(poster_error="")
        return films


class YearFilter(admin.SimpleListFilter):
    """The latest years one by one, then decades: a fixed list, since to ask the table costs a walk through it."""

    title, parameter_name = gettext_lazy("year"), "year"

    def lookups(self, request, model_admin):
        now = time.gmtime().tm_year
        years = [(str(year), str(year)) for year in range(now, now - 4, -1)]
        decades = [(f"{year}s", _("%ds") % year) for year in range(now // 10 * 10, 1919, -10)]
        return [*years, *decades, ("earlier", _("earlier")), ("unknown", _("unknown"))]

    def queryset(self, request, films):
        value = self.value() or ""
        if value == "unknown":
            return films.filter(year=None)
        if value == "earlier":
            return films.filter(year__lt=1920)
        if value.removesuffix("s").isdecimal() and len(value) < 6:
            first = int(value.removesuffix("s"))
            return films.filter(year__range=(first, first + 9)) if value.endswith("s") else films.filter(year=first)
        return films


class MetadataFilter(admin.SimpleListFilter):
    title, parameter_name = gettext_lazy("age of metadata"), "read"

    def lookups(self, request, model_admin):
        return [
            ("never", _("known from a list only")),
            ("asked", _("to be read again")),
            ("old", _("over five months")),
            ("ripe", _("three to five months")),
            ("fresh", _("under three months")),
        ]

    def queryset(self, request, films):
        now = int(time.time())
        chosen = {
            "never": Q(details_at=None),
            "asked": Q(details_at=0),
            "old": Q(details_at__range=(1, now - 5 * MONTH)),
            "ripe": Q(details_at__range=(now - 5 * MONTH, now - 3 * MONTH)),
            "fresh": Q(details_at__gt=now - 3 * MONTH),
        }.get(self.value())
        return films.filter(chosen) if chosen else films


@admin.register(Movie)
class MovieAdmin(admin.ModelAdmin):
    list_display = ("film", "poster", "year", "id", "attempts", "last_error", "metadata_read")
    list_display_links = ("id", "film")
    list_filter = (("poster_status", admin.ChoicesFieldListFilter), PosterFilter, YearFilter, MetadataFilter)
    list_per_page = 50
    search_fields = ("search_text",)
    search_help_text = gettext_lazy("words of the title, in any script and case, or a TMDb id")
    ordering = ("-id",)
    sortable_by = ("id",)
    paginator, get_changelist = BigTablePaginator, big_table_list
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("requeue_posters", "read_again", "set_aside", "revive")
    change_form_template = "movies/office/film.html"
    fieldsets = [
        (None, {"fields": ("id", "title", "original_title", "overview")}),
        (
            gettext_lazy("Poster"),
            {"fields": ("poster", "poster_need", "attempts", "last_error", "next_try", "size_in_telegram")},
        ),
        (
            gettext_lazy("Metadata"),
            {
                "fields": (
                    "release_date",
                    "runtime",
                    "vote_average",
                    "vote_count",
                    "popularity",
                    "poster_path",
                    "metadata_read",
                )
            },
        ),
    ]
    has_add_permission = has_change_permission = has_delete_permission = nobody

    def has_act_permission(self, request):
        return request.user.has_perm("movies.change_movie")

    def get_queryset(self, request):
        return super().get_queryset(request).defer("search_text")

    def get_search_results(self, request, queryset, search_term):
        """Films whose titles hold all the words, and the one with this id: SQLite's own LIKE folds only ASCII."""
        words = folded_text(search_term).split()
        if words:
            Movie.objects.make_searchable()
        found = queryset
        for part in words:
            found = found.filter(search_text__contains=part)
        if len(words) == 1 and words[0].isascii() and words[0].isdecimal() and len(words[0]) < 10:
            found |= queryset.filter(pk=int(words[0]))
        return found, False

    def change_view(self, request, object_id, form_url="", extra_context=None):
        may_act = self.has_act_permission(request)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_act": may_act})

    @admin.display(description=gettext_lazy("title"))
    def film(self, movie):
        return movie.title or movie.original_title or movie.pk

    @admin.display(description=gettext_lazy("poster"))
    def poster(self, movie):
        if movie.poster_status in UNFINISHED and movie.poster_next_try_at >= SET_ASIDE:
            return word("bad", _("set aside"))
        if movie.poster_status == PosterStatus.NONE and movie.poster_path and movie.poster_error:
            return word("bad", _("given up"))
        return word(TONES[movie.poster_status], movie.get_poster_status_display())

    @admin.display(description=gettext_lazy("attempts"))
    def attempts(self, movie):
        return movie.poster_attempts or NOTHING

    @admin.display(description=gettext_lazy("last error"))
    def last_error(self, movie):
        return movie.poster_error or NOTHING

    @admin.display(description=gettext_lazy("next try"))
    def next_try(self, movie):
        if movie.poster_status not in UNFINISHED:
            return NOTHING
        if movie.poster_next_try_at >= SET_ASIDE:
            return _("never, until somebody revives it")
        return _("now") if movie.poster_next_try_at <= time.time() else when(movie.poster_next_try_at)

    @admin.display(description=gettext_lazy("size in Telegram"))
    def size_in_telegram(self, movie):
        return f"{movie.width} × {movie.height}" if movie.width else NOTHING

    @admin.display(description=gettext_lazy("metadata read"))
    def metadata_read(self, movie):
        return _("to be read again") if movie.details_at == 0 else when(movie.details_at)

    # --- Actions

    @admin.action(description=gettext_lazy("Queue the poster again"), permissions=["act"])
    def requeue_posters(self, request, films):
        count = films.order_by().requeue_posters()
        async_task("posters.tasks.download_posters")
        self.message_user(request, ngettext("%d poster queued.", "%d posters queued.", count) % count)
        return back(request, "admin:movies_movie_change")

    @admin.action(description=gettext_lazy("Read the metadata again"), permissions=["act"])
    def read_again(self, request, films):
        count = films.order_by().reread_details()
        async_task("movies.tasks.refresh_movies")
        self.message_user(
            request, ngettext("%d film will be read again.", "%d films will be read again.", count) % count
        )
        return back(request, "admin:movies_movie_change")

    @admin.action(description=gettext_lazy("Set the poster aside"), permissions=["act"])
    def set_aside(self, request, films):
        count = films.order_by().set_posters_aside(f"set aside by {request.user.get_username()}")
        self.message_user(request, ngettext("%d poster set aside.", "%d posters set aside.", count) % count)
        return back(request, "admin:movies_movie_change")

    @admin.action(description=gettext_lazy("Revive the poster"), permissions=["act"])
    def revive(self, request, films):
        count = films.order_by().poster_failed().requeue_posters()
        async_task("posters.tasks.download_posters")
        self.message_user(request, ngettext("%d poster revived.", "%d posters revived.", count) % count)
        return back(request, "admin:movies_movie_change")


LIST = "admin:movies_movie_changelist"


@page("movies/movie/<int:movie_id>/card/", "movies_card", "movies.view_movie")
def card(request, movie_id):
    """The film's card as the chat shows it, in every language of the bot."""
    movie = Movie.objects.seen_by(None).filter(pk=movie_id).first()
    if movie is None:
        raise Http404
    cards = []
    for language in LANGUAGES:
        with translation.override(language):
            # our own template, escaped for Telegram as it is for a browser
            cards.append({"language": language, "caption": mark_safe(caption(movie)), "rows": keys(movie)})  # noqa: S308  # nosec
    return show(request, "movies/office/card.html", _("Card of %s") % movie, movie=movie, cards=cards)


def keys(movie):
    """What the card's buttons say; none while Telegram, which tells what the bot can do, is away."""
    try:
        with max_retry_wait(0):
            rows = buttons(movie)
    except (ApiException, TelegramUnavailable):
        return []
    return [[one[0] if isinstance(one, tuple) else one.text for one in row] for row in rows]


@panel(20, "movies.view_movie", "config/states.html")
def films_at_a_glance(request):
    counts, counted_at = status_counts.states("films")
    url = reverse(LIST)
    states = [
        {
            "tone": TONES[status],
            "word": status.label,
            "number": counts.get(status, 0),
            "url": f"{url}?poster_status__exact={status.value}",
        }
        for status in TONES
    ]
    notes = []
    if oldest := longest_waiting():
        notes.append(
            {
                "text": _("Waits longest: %(film)s, since %(when)s: %(why)s")
                % {
                    "film": oldest,
                    "when": ago(oldest.poster_next_try_at) if oldest.poster_next_try_at else _("an unknown time"),
                    "why": why_waiting(oldest),
                },
                "url": reverse("admin:movies_movie_change", args=[oldest.pk]),
            }
        )
    failed = Movie.objects.poster_failed().exclude(poster_error="")[:1001].count()
    if failed:
        text = ngettext("%s poster given up or set aside", "%s posters given up or set aside", failed)
        notes.append(
            {"text": text % (failed if failed <= 1000 else "1000+"), "url": f"{url}?poster=failed", "bad": True}
        )
    return {
        "id": "films",
        "title": _("Films by poster"),
        "url": url,
        "total": sum(counts.values()),
        "bar": bar([(state["tone"], state["number"]) for state in states]),
        "states": states,
        "notes": notes,
        "counted_at": moment(counted_at),
    }


def longest_waiting():
    """The film that has been due for a step of its poster's way longest; one look at the index for each need."""
    now = int(time.time())
    first = [
        Movie.objects.filter(poster_status=status, poster_need=need, poster_next_try_at__lte=now)
        .order_by("poster_next_try_at", "id")
        .first()
        for status in UNFINISHED
        for need in PosterNeed
    ]
    return min(filter(None, first), key=lambda movie: movie.poster_next_try_at, default=None)


def why_waiting(movie):
    if movie.poster_error:
        return movie.poster_error
    return _("its download's turn") if movie.poster_status == PosterStatus.WAITING else _("its channel's turn")
