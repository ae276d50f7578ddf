"""django-q2's pages in the admin. What a schedule calls is for superusers alone: it can name any callable."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy
from django_q import admin as django_q_admin  # imported first, so that its registrations are there to be replaced
from django_q.models import Failure, OrmQ, Schedule, Success

from config.admin.actions import row_action


class SuperuserChangesMixin:
    """Jobs, which only superusers may change or delete."""

    show_facets = admin.ShowFacets.NEVER

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_resubmit_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_q.change_failure")


@row_action(
    gettext_lazy("Resubmit selected jobs"),
    done=ngettext_lazy("%d job resubmitted.", "%d jobs resubmitted."),
    nothing=gettext_lazy("None of these jobs is there any more."),
    permission="resubmit",
)
def resubmit(model_admin: admin.ModelAdmin, request: HttpRequest, jobs: QuerySet[Any]) -> int:
    count = jobs.count()
    django_q_admin.resubmit_task(model_admin, request, jobs)
    return count


class JobAdmin(SuperuserChangesMixin, django_q_admin.TaskAdmin):
    actions = (resubmit,)


class FailureAdmin(SuperuserChangesMixin, django_q_admin.FailAdmin):
    actions = (resubmit,)


class QueueAdmin(SuperuserChangesMixin, django_q_admin.QueueAdmin):
    pass


class ScheduleAdmin(django_q_admin.ScheduleAdmin):
    actions = ("run_now",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return request.user.is_superuser

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_q.change_schedule")

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        if request.user.is_superuser:
            return fields
        return (*fields, "name", "func", "hook", "args", "kwargs", "cluster", "intended_date_kwarg")

    def get_form(self, request: HttpRequest, obj: Schedule | None = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        if "next_run" in form.base_fields:  # Django labels the pair, but neither of the two
            for part, label in zip(form.base_fields["next_run"].widget.widgets, (_("Date"), _("Time")), strict=True):
                part.attrs["aria-label"] = label
        return form

    @row_action(
        gettext_lazy("Run now"),
        done=ngettext_lazy("%d job is due now.", "%d jobs are due now."),
        nothing=gettext_lazy("None of these jobs is there any more."),
    )
    def run_now(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> int:
        return schedules.update(next_run=timezone.now())


for model, model_admin in (
    (Success, JobAdmin),
    (Failure, FailureAdmin),
    (Schedule, ScheduleAdmin),
    (OrmQ, QueueAdmin),
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
        admin.site.register(model, model_admin)
