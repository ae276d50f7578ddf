"""Users in the admin. The TMDb session never leaves the table: no page here reads it."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import DELETION
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from config.admin.actions import record, row_action
from config.admin.formatting import DAY_SECONDS, EMPTY, badge, format_datetime
from config.admin.model_admin import ConditionFilter, ReadOnlyAdmin
from config.admin.site import dashboard_widget, render_page
from config.admin.status_counts import StatusCountsWidget, status_counts_widget
from config.jobs.enqueue import async_task
from users import disconnect
from users.admin.messages import shown
from users.models import SyncStatus, User, UserQuerySet
from users.visits import visits

MAX_DELETED_AT_ONCE = 200  # while the operator waits
TONES = {
    SyncStatus.IMPORTED: "good",
    SyncStatus.QUEUED: "busy",
    SyncStatus.FAILED: "bad",
    SyncStatus.NOT_CONNECTED: "idle",
}


class LastImportFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("last import"), "age"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        now = int(time.time())
        return {
            "day": (_("within a day"), Q(last_sync_at__gt=now - DAY_SECONDS)),
            "week": (_("within a week"), Q(last_sync_at__gt=now - 7 * DAY_SECONDS)),
            "month": (_("within a month"), Q(last_sync_at__gt=now - 30 * DAY_SECONDS)),
            "older": (_("longer ago"), Q(last_sync_at__lte=now - 30 * DAY_SECONDS)),
            "never": (_("never"), Q(last_sync_at=None)),
        }


class StandingFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("standing"), "standing"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        return {
            "banned": (_("banned"), Q(banned_at__isnull=False)),
            "blocked": (_("blocked the bot"), Q(blocked_at__isnull=False)),
        }


@admin.register(User)
class UserAdmin(ReadOnlyAdmin[User]):
    list_display = ("telegram_user_id", "name", "last_seen", "state_with_reason", "last_import", "ratings_count")
    list_filter = (("sync_status", admin.ChoicesFieldListFilter), LastImportFilter, StandingFilter)
    search_fields = ("telegram_user_id",)
    search_help_text = gettext_lazy("a name, a @username, the beginning of a Telegram id, or a TMDb account id")
    sortable_by = ("telegram_user_id", "last_seen", "last_import", "ratings_count")
    actions = ("import_again", "disconnect_tmdb", "ban", "lift_ban", "delete_data")
    change_form_template = "users/admin/user.html"
    fieldsets = [
        (
            None,
            {
                "fields": (
                    *("telegram_user_id", "name", "language", "first_seen", "last_seen", "came_by"),
                    *("blocked_since", "banned_since", "takes_broadcasts"),
                )
            },
        ),
        (
            gettext_lazy("Link with TMDb"),
            {"fields": ("state", "reason", "account", "last_import", "ratings_count", "writes_ratings")},
        ),
    ]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("users.change_user")

    def has_delete_data_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("users.delete_user")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).defer("tmdb_session_id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """People by their name or the beginning of their id."""
        if not search_term.strip():
            return queryset, False
        return queryset.filter(UserQuerySet.found_by(search_term)), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        person = self.get_object(request, object_id)
        context = {
            "may_act": self.has_act_permission(request),
            "is_linked": person and User.objects.connected().filter(pk=person.pk).exists(),
            "is_queued": person and person.sync_status == SyncStatus.QUEUED,
            "may_delete": self.has_delete_data_permission(request),
            "may_write": request.user.has_perm("users.add_directmessage"),
            "messages_sent": shown(person) if person else [],
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    @admin.display(description=gettext_lazy("state"))
    def state(self, user: User) -> SafeString:
        return badge(TONES[SyncStatus(user.sync_status)], user.get_sync_status_display())

    @admin.display(description=gettext_lazy("state"))
    def state_with_reason(self, user: User) -> SafeString:
        if not user.sync_error:
            return self.state(user)
        return format_html('{} <div class="quiet">{}</div>', self.state(user), _(user.sync_error))

    @admin.display(description=gettext_lazy("reason of a failure"))
    def reason(self, user: User) -> str:
        return _(user.sync_error) if user.sync_error else EMPTY

    @admin.display(description=gettext_lazy("TMDb account"))
    def account(self, user: User) -> str:
        """The account's id, with a word where other users have linked the same one."""
        if user.tmdb_account_id is None:
            return EMPTY
        others = User.objects.filter(tmdb_account_id=user.tmdb_account_id).exclude(pk=user.pk).count()
        shared = ngettext("also linked by %d other person", "also linked by %d other people", others) % others
        return f"{user.tmdb_account_id} ({shared})" if others else str(user.tmdb_account_id)

    @admin.display(description=gettext_lazy("last import"), ordering="last_sync_at")
    def last_import(self, user: User) -> SafeString | str:
        return format_datetime(user.last_sync_at)

    @admin.display(description=gettext_lazy("name"), ordering="search_name")
    def name(self, user: User) -> str:
        return " ".join(filter(None, [user.first_name, user.username and f"@{user.username}"])) or EMPTY

    @admin.display(description=gettext_lazy("first seen"))
    def first_seen(self, user: User) -> SafeString | str:
        return format_datetime(user.first_seen_at)

    @admin.display(description=gettext_lazy("last seen"), ordering="last_seen_at")
    def last_seen(self, user: User) -> SafeString | str:
        return format_datetime(user.last_seen_at)

    @admin.display(description=gettext_lazy("banned"))
    def banned_since(self, user: User) -> SafeString | str:
        return format_datetime(user.banned_at)

    @admin.display(description=gettext_lazy("blocked the bot"))
    def blocked_since(self, user: User) -> SafeString | str:
        return format_datetime(user.blocked_at)

    # --- Actions

    @row_action(
        gettext_lazy("Import again"),
        done=ngettext_lazy("%d import queued.", "%d imports queued."),
        nothing=gettext_lazy("Nothing queued: they have no TMDb account linked, or are in the queue already."),
    )
    def import_again(self, request: HttpRequest, users: UserQuerySet) -> int:
        count = users.queue_import()
        async_task("ratings.tasks.import_ratings")
        return count

    @row_action(
        gettext_lazy("Disconnect from TMDb"),
        done=ngettext_lazy("%d person disconnected from TMDb.", "%d people disconnected from TMDb."),
        nothing=gettext_lazy("Nobody disconnected: they have no TMDb account linked."),
    )
    def disconnect_tmdb(self, request: HttpRequest, users: UserQuerySet) -> int:
        sessions = disconnect.disconnect_all(users)
        if left := disconnect.revoke_soon(sessions):
            text = ngettext(
                "%d session is still to be ended on TMDb.", "%d sessions are still to be ended on TMDb.", left
            )
            self.message_user(request, text % left, messages.WARNING)
        return len(sessions)

    @row_action(
        gettext_lazy("Ban"),
        done=ngettext_lazy(
            "%d person banned: what they send is ignored.", "%d people banned: what they send is ignored."
        ),
        nothing=gettext_lazy("Nobody banned: they are banned already."),
    )
    def ban(self, request: HttpRequest, users: UserQuerySet) -> int:
        return visits.ban(users)

    @row_action(
        gettext_lazy("Lift the ban"),
        done=ngettext_lazy("%d ban lifted.", "%d bans lifted."),
        nothing=gettext_lazy("Nothing lifted: they are not banned."),
    )
    def lift_ban(self, request: HttpRequest, users: UserQuerySet) -> int:
        return visits.lift_ban(users)

    @admin.action(description=gettext_lazy("Delete their data…"), permissions=["delete_data"])
    def delete_data(self, request: HttpRequest, users: UserQuerySet) -> HttpResponse | None:
        users = users.order_by()
        count = users.count()
        if count > MAX_DELETED_AT_ONCE:
            text = ngettext(
                "Nothing deleted: choose at most %d person.", "Nothing deleted: choose at most %d people.", count
            )
            self.message_user(request, text % MAX_DELETED_AT_ONCE, messages.ERROR)
            return None
        chosen = [user.pk for user in users]
        if "confirmed" not in request.POST:
            title = ngettext("Delete everything about %d person?", "Delete everything about %d people?", count)
            title = title % count if count != 1 else _("Delete everything about %s?") % chosen[0]
            context: dict[str, Any] = {
                "users": [(user.pk, user.ratings.count(), user.imports.count()) for user in users],
                "checkbox_name": ACTION_CHECKBOX_NAME,
                "opts": self.opts,
            }
            return render_page(request, "users/admin/delete_data.html", title, **context)
        disconnect.revoke_soon([session for user_id in chosen for session in disconnect.delete_everything(user_id)])
        record(request, User, "delete_data", _("Data deleted"), count, flag=DELETION)
        self.message_user(request, ngettext("%d person deleted.", "%d people deleted.", count) % count)
        return None


@dashboard_widget(10, "users.view_user")
def users_widget(request: HttpRequest) -> StatusCountsWidget:
    url = reverse("admin:users_user_changelist")
    return status_counts_widget("users", _("People by import"), User, "sync_status", url, TONES)
