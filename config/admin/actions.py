"""Actions on rows of the admin: many are asked about first, and each is recorded with who did what to how many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import translation

from config.admin.bulk import begin, store
from config.admin.site import render_page

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

log = logging.getLogger(__name__)

MAX_UNASKED = 50  # rows, each with the action in its history; more are asked about on a page of its own

Action = Callable[[Any, HttpRequest, Any], int]  # of the admin, the request and a queryset
AdminAction = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


def row_action(
    description: _StrPromise,
    done: _StrPromise,
    nothing: _StrPromise,
    permission: str = "act",
    cost: Callable[[int], str] = lambda count: "",
) -> Callable[[Action], AdminAction]:
    """Make an action of the admin from a function that returns to how many rows it did something.

    `done` is a plural with that number, `nothing` says why it may have been none; `cost` what so many rows cost.
    """

    def decorate(act: Action) -> AdminAction:
        @admin.action(description=description, permissions=[permission])
        @wraps(act)
        def run(model_admin: admin.ModelAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
            rows = rows.order_by("pk")
            chosen = rows.count()
            if chosen > MAX_UNASKED and "confirmed" not in request.POST:
                return ask(request, model_admin, str(description), chosen, cost(chosen))
            if chosen > MAX_UNASKED:
                return run_in_bulk(model_admin, request, rows, chosen, act.__name__, (description, done, nothing))
            named = [(str(row.pk), str(row)) for row in rows]  # some are deleted
            count = act(model_admin, request, rows)
            if count:
                record(request, model_admin.model, act.__name__, str(description), count, named)
                model_admin.message_user(request, str(done % count))
            else:
                model_admin.message_user(request, str(nothing), messages.WARNING)
            return redirect_back(request, model_admin)

        return run

    return decorate


def run_in_bulk(
    model_admin: admin.ModelAdmin,
    request: HttpRequest,
    rows: QuerySet[Any],
    chosen: int,
    action: str,
    texts: tuple[_StrPromise, _StrPromise, _StrPromise],
) -> HttpResponse | None:
    """Do an action to many rows; what takes longer than a moment goes on in a job, on a page with its progress."""
    description, done, nothing = texts
    with translation.override("en"):
        title = str(description)
    # recorded first: a process that is killed at it leaves the rest to a job
    with transaction.atomic():
        record(request, model_admin.model, action, str(description), chosen)
        bulk = store(model_admin, request, action, title, rows)
    begin(bulk, request)
    if bulk.is_running:
        return redirect("admin:bulk_action", bulk.pk)
    if bulk.changed:
        model_admin.message_user(request, str(done % bulk.changed))
    else:
        model_admin.message_user(request, str(nothing), messages.WARNING)
    return None


def ask(request: HttpRequest, model_admin: admin.ModelAdmin, title: str, count: int, cost: str) -> HttpResponse:
    """The page that asks whether an action on so many rows is meant; it posts the same choice once more."""
    fields = [(name, value) for name in request.POST for value in request.POST.getlist(name)]
    return render_page(
        request,
        "config/confirm_action.html",
        title,
        fields=[pair for pair in fields if pair[0] != "csrfmiddlewaretoken"],
        count=count,
        cost=cost,
        opts=model_admin.opts,
    )


FLAGS = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}  # a log is English, whatever the page is


def record(
    request: HttpRequest,
    model: type[Model],
    action: str,
    description: str,
    count: int,
    rows: Iterable[tuple[str, str]] = (),
    flag: int = CHANGE,
) -> None:
    """Write down an action: in the history of these rows, as (key, text), or once for all; and as a line of the log."""
    content_type = ContentType.objects.get_for_model(model)
    entries: list[tuple[str | None, str]] = [*rows] or [(None, f"{model._meta.verbose_name_plural}: {count}")]
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=str(request.user.pk),
            content_type=content_type,
            object_id=object_id,
            object_repr=text[:200],
            action_flag=flag,
            change_message=description,
        )
        for object_id, text in entries
    )
    named = f" ({', '.join(key for key, _text in rows)})" if rows else ""
    log.info("%s: %s, %s of %s%s", request.user, action, count, model._meta.label, named)


@receiver(post_save, sender=LogEntry)
def log_entry(instance: LogEntry, **signal: Any) -> None:
    """A line of the log for what Django records by itself: rows changed, added or deleted on their own pages."""
    flag = FLAGS[instance.action_flag]
    kind = instance.content_type and instance.content_type.model
    log.info("%s: %s %s %s", instance.user, flag, kind, instance.object_id)


def redirect_back(request: HttpRequest, model_admin: admin.ModelAdmin) -> HttpResponse | None:
    """The change page of the one row on which an action was pressed; None, for its list, where it was pressed there."""
    chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
    if "from_page" not in request.POST or len(chosen) != 1:
        return None
    return redirect(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_change", chosen[0])
