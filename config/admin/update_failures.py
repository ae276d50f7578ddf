"""Updates that failed, in the admin: by handler and error, with the traceback, found by the code people are told."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.admin.formatting import DAY_SECONDS, format_datetime
from config.admin.model_admin import ConditionFilter, ReadOnlyAdmin
from config.admin.site import Failure, failures
from config.models import UpdateFailure


class FailedFilter(ConditionFilter):
    title, parameter_name = gettext_lazy("when"), "since"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        now = int(time.time())
        return {
            "day": (_("within a day"), Q(failed_at__gt=now - DAY_SECONDS)),
            "week": (_("within a week"), Q(failed_at__gt=now - 7 * DAY_SECONDS)),
        }


@admin.register(UpdateFailure)
class UpdateFailureAdmin(ReadOnlyAdmin[UpdateFailure]):
    list_display = ("code", "when", "handler", "error")
    list_filter = (FailedFilter,)
    search_fields = ("code",)
    search_help_text = gettext_lazy("the code that the person was told, such as u123456")
    sortable_by = ()
    fieldsets = [(None, {"fields": ("code", "when", "handler", "error", "full_traceback")})]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UpdateFailure], search_term: str
    ) -> tuple[QuerySet[UpdateFailure], bool]:
        code = re.sub(r"[^\w-]", "", search_term).lower()  # as it was copied, with a bracket or in capitals
        return queryset.filter(code=code) if search_term.strip() else queryset, False

    def get_queryset(self, request: HttpRequest) -> QuerySet[UpdateFailure]:
        return super().get_queryset(request).defer("traceback")

    @admin.display(description=gettext_lazy("when"))
    def when(self, failure: UpdateFailure) -> SafeString | str:
        return format_datetime(failure.failed_at)

    @admin.display(description=gettext_lazy("traceback"))
    def full_traceback(self, failure: UpdateFailure) -> SafeString:
        return format_html('<pre class="traceback">{}</pre>', failure.traceback)


@failures("config.view_updatefailure")
def failed_updates() -> Iterator[Failure]:
    url = reverse("admin:config_updatefailure_changelist")
    recent = UpdateFailure.objects.filter(failed_at__gt=int(time.time()) - DAY_SECONDS).order_by()
    for handler, error, number in recent.values_list("handler", "error").annotate(Count("pk")):
        query = urlencode({"since": "day", "handler__exact": handler, "error__exact": error})
        yield Failure(_("update"), f"{handler}: {error}", number, f"{url}?{query}")
