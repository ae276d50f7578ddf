"""People in the back office. The TMDb session never leaves the table: no page here reads it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.admin.charts import bar
from config.admin.pagination import BigTablePaginator, big_table_list
from config.admin.site import NOTHING, back, moment, nobody, panel, show, when, word
from config.jobs.enqueue import async_task
from config.monitoring.metrics import count_by_status
from users import disconnect
from users.models import SyncStatus, User

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIRequest
    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseRedirect
    from django.template.response import TemplateResponse
    from django.utils.safestring import SafeString

    from users.models import UserQuerySet

DAY = 86_400
MOST_AT_ONCE = 100  # people whose sessions are ended while the operator waits: each asks TMDb
TONES = {
    SyncStatus.IMPORTED: "good",
    SyncStatus.QUEUED: "busy",
    SyncStatus.FAILED: "bad",
    SyncStatus.NOT_CONNECTED: "idle",
}


class AgeFilter(admin.SimpleListFilter):
    title, parameter_name = gettext_lazy("last import"), "age"

    def lookups(self, request: WSGIRequest, model_admin: UserAdmin) -> list[tuple[str, str]]:
        return [
            ("day", _("within a day")),
            ("week", _("within a week")),
            ("month", _("within a month")),
            ("older", _("longer ago")),
            ("never", _("never")),
        ]

    def queryset(self, request: WSGIRequest, people: UserQuerySet) -> UserQuerySet:
        now = int(time.time())
        ages = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY}
        if self.value() in ages:
            return people.filter(last_sync_at__gt=now - ages[self.value()])
        if self.value() == "older":
            return people.filter(last_sync_at__lte=now - 30 * DAY)
        if self.value() == "never":
            return people.filter(last_sync_at=None)
        return people


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("telegram_user_id", "state", "reason", "last_import", "ratings_count")
    list_filter = (("sync_status", admin.ChoicesFieldListFilter), AgeFilter)
    list_per_page = 50
    search_fields = ("telegram_user_id",)
    search_help_text = gettext_lazy("a Telegram or TMDb account id")
    ordering = ("-telegram_user_id",)
    sortable_by = ("telegram_user_id", "last_import", "ratings_count")
    paginator, get_changelist = BigTablePaginator, big_table_list
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("import_again", "end_session", "forget")
    change_form_template = "users/office/person.html"
    fieldsets = [
        (None, {"fields": ("telegram_user_id", "language", "blocked_since")}),
        (
            gettext_lazy("Link with TMDb"),
            {
                "fields": (
                    "state",
                    "reason",
                    "tmdb_account_id",
                    "last_import",
                    "ratings_count",
                    "writes_ratings",
                )
            },
        ),
    ]
    has_add_permission = has_change_permission = has_delete_permission = nobody

    def has_act_permission(self, request: WSGIRequest) -> bool:
        return request.user.has_perm("users.change_user")

    def has_forget_permission(self, request: WSGIRequest) -> bool:
        return request.user.has_perm("users.delete_user")

    def get_queryset(self, request: WSGIRequest) -> UserQuerySet:
        return super().get_queryset(request).defer("tmdb_session_id")

    def get_search_results(
        self, request: WSGIRequest, queryset: UserQuerySet, search_term: str
    ) -> tuple[UserQuerySet, bool]:
        """The person with this Telegram or TMDb id."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if not (term.isascii() and term.isdecimal()) or len(term) > 18:
            return queryset.none(), False
        return queryset.filter(pk=int(term)) | queryset.filter(tmdb_account_id=int(term)), False

    def change_view(
        self, request: WSGIRequest, object_id: str, form_url: str = "", extra_context: None = None
    ) -> TemplateResponse:
        may = {"may_act": self.has_act_permission(request), "may_forget": self.has_forget_permission(request)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **may})

    @admin.display(description=gettext_lazy("state"))
    def state(self, person: User) -> SafeString:
        return word(TONES[person.sync_status], person.get_sync_status_display())

    @admin.display(description=gettext_lazy("reason of a failure"))
    def reason(self, person: User) -> str:
        return _(person.sync_error) if person.sync_error else NOTHING

    @admin.display(description=gettext_lazy("last import"), ordering="last_sync_at")
    def last_import(self, person: User) -> SafeString | str:
        return when(person.last_sync_at)

    @admin.display(description=gettext_lazy("has blocked the bot since"))
    def blocked_since(self, person: User) -> str:
        return when(person.blocked_at)

    # --- Actions

    @admin.action(description=gettext_lazy("Import again"), permissions=["act"])
    def import_again(self, request: WSGIRequest, people: UserQuerySet) -> HttpResponseRedirect | None:
        count = people.order_by().queue_import()
        async_task("ratings.tasks.import_ratings")
        self.message_user(request, ngettext("%d import queued.", "%d imports queued.", count) % count)
        return back(request, "admin:users_user_change")

    @admin.action(description=gettext_lazy("End the session with TMDb"), permissions=["act"])
    def end_session(self, request: WSGIRequest, people: UserQuerySet) -> HttpResponse:
        linked = list(people.order_by().connected().values_list("pk", flat=True)[:MOST_AT_ONCE])
        ended = sum([disconnect.disconnect(person) for person in linked])
        self.message_user(request, ngettext("%d session ended.", "%d sessions ended.", ended) % ended)
        if later := len(linked) - ended:
            words = ngettext(
                "%d link is cut here; TMDb could not be made to end its session yet and is asked again.",
                "%d links are cut here; TMDb could not be made to end their sessions yet and is asked again.",
                later,
            )
            self.message_user(request, words % later, messages.WARNING)
        return back(request, "admin:users_user_change")

    @admin.action(description=gettext_lazy("Forget: delete all that is known of them"), permissions=["forget"])
    def forget(self, request: HttpRequest, people):
        chosen = list(people.order_by().values_list("pk", flat=True)[:MOST_AT_ONCE])
        if "confirmed" not in request.POST:
            return show(
                request,
                "users/office/forget.html",
                _("Forget these people?"),
                people=chosen,
                name_of_chosen=ACTION_CHECKBOX_NAME,
                opts=self.model._meta,
            )
        for person in chosen:
            disconnect.forget(person)
        self.message_user(request, ngettext("%d person forgotten.", "%d people forgotten.", len(chosen)) % len(chosen))
        return None


@panel(10, "users.view_user", "config/states.html")
def people_at_a_glance(request: HttpRequest):
    counts, counted_at = count_by_status(User, "sync_status")
    url = reverse("admin:users_user_changelist")
    states = [
        {
            "tone": TONES[status],
            "word": status.label,
            "number": counts.get(status, 0),
            "url": f"{url}?sync_status__exact={status.value}",
        }
        for status in TONES
    ]
    return {
        "id": "people",
        "title": _("People by import"),
        "url": url,
        "total": sum(counts.values()),
        "bar": bar([(state["tone"], state["number"]) for state in states]),
        "states": states,
        "counted_at": moment(counted_at),
    }
