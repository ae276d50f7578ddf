"""Failed logins and lockouts in the admin, and the action that lifts them; for superusers."""

from __future__ import annotations

import time

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from config.admin.actions import row_action
from config.admin.formatting import EMPTY, format_datetime
from config.admin.model_admin import ConditionFilter, ReadOnlyAdmin
from config.models import LoginAttempts


class LockoutFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("state"), "state"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        return {
            "locked": (_("locked"), Q(locked_until__gt=int(time.time()))),
        }


@admin.register(LoginAttempts)
class LoginAttemptsAdmin(ReadOnlyAdmin[LoginAttempts]):
    list_display = ("kind", "name", "address", "failures", "locked")
    list_display_links = None
    list_filter = (LockoutFilter,)
    actions = ("lift",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LoginAttempts]:
        return super().get_queryset(request).filter(failures__gt=0)  # the others name where somebody has logged in

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("config.delete_loginattempts")

    @admin.display(description=gettext_lazy("locked until"), ordering="locked_until")
    def locked(self, row: LoginAttempts) -> SafeString | str:
        return format_datetime(row.locked_until) if row.locked_until > time.time() else EMPTY

    @row_action(
        gettext_lazy("Lift the lockout"),
        done=ngettext_lazy("%d lockout lifted.", "%d lockouts lifted."),
        nothing=gettext_lazy("Nothing was locked."),
        permission="lift",
    )
    def lift(self, request: HttpRequest, rows: QuerySet[LoginAttempts]) -> int:
        return rows.filter(failures__gt=0).update(failures=0, locked_until=0)
