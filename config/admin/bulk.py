"""Actions over many rows: done batch by batch, within the request as far as a moment goes, the rest by a job.

The keys of all chosen rows are stored first, so that "all" is all; a batch is a row of a table and is marked when it is
done. A process that is killed leaves its batch to be done once more, which every action bears. Batches that are done
stay: the history of a row asks them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from config.admin.charts import progress_bar
from config.admin.formatting import format_age
from config.admin.site import page, render_page
from config.jobs.enqueue import StopEvent, async_task
from config.jobs.locks import ALREADY_RUNNING, lock
from config.models import BulkAction, BulkBatch
from config.monitoring.logs import format_error

log = logging.getLogger(__name__)

BATCH_ROWS = 1000
INLINE_SECONDS = 1.5  # while the operator waits
LEASE = "config.bulk"
TASK = "config.jobs.tasks.run_bulk_actions"


class _Silence:
    """Where messages to an operator go who is not there any more."""

    def add(self, *args: Any, **options: Any) -> None:
        pass


def store(
    model_admin: admin.ModelAdmin, request: HttpRequest, action: str, title: str, rows: QuerySet[Any]
) -> BulkAction:
    """Write down what is to be done to which rows; within a transaction, so that a part of it is never begun."""
    bulk = BulkAction.objects.create(
        model=model_admin.model._meta.label,
        action=action,
        title=title,
        username=request.user.get_username(),
        created_at=int(time.time()),
    )
    keys = iter(rows.order_by("pk").values_list("pk", flat=True).iterator())
    total, number = 0, 0
    while batch := list(islice(keys, BATCH_ROWS)):
        BulkBatch.objects.create(bulk=bulk, number=number, keys=batch)
        total, number = total + len(batch), number + 1
    bulk.total, bulk.is_ready = total, True
    bulk.save(update_fields=["total", "is_ready"])
    return bulk


def begin(bulk: BulkAction, request: HttpRequest) -> None:
    """Do as much of it as a moment allows."""
    with lock(LEASE) as free:
        if free:
            run(bulk.pk, time.monotonic() + INLINE_SECONDS, request=request)
    bulk.refresh_from_db()
    if bulk.is_running:
        async_task(TASK, save=False)


def run_due(seconds: float, stop: StopEvent) -> str:
    """Go on with what has been begun; one process at a time."""
    deadline = time.monotonic() + seconds
    with lock(LEASE) as free:
        if not free:
            return ALREADY_RUNNING
        problems = []
        for pk in list(BulkAction.objects.filter(finished_at=None, is_ready=True).values_list("pk", flat=True)):
            try:
                run(pk, deadline, stop)
            except Exception as error:  # the others do not wait for it; the next job tries it once more
                log.warning("the large action %s has failed: %s", pk, format_error(error))
                problems.append(error)
        if problems:
            raise problems[0]
    left = BulkAction.objects.filter(finished_at=None, is_ready=True).count()
    if left and not stop.is_set():
        async_task(TASK, save=False)
    return f"{left} left"


def run(pk: int, deadline: float, stop: StopEvent | None = None, request: HttpRequest | None = None) -> None:
    """Do batch after batch until all are done, the operator stops it, or the time is over."""
    while time.monotonic() < deadline and not (stop and stop.is_set()):
        bulk = BulkAction.objects.get(pk=pk)
        if not bulk.is_running:
            return
        batch = bulk.batches.filter(is_done=False).order_by("number").first()
        if batch is None:
            BulkAction.objects.filter(pk=pk, finished_at=None).update(finished_at=int(time.time()))
            return
        changed = act(bulk, batch.keys, request)
        if BulkBatch.objects.filter(pk=batch.pk, is_done=False).update(is_done=True):
            BulkAction.objects.filter(pk=pk).update(done=F("done") + len(batch.keys), changed=F("changed") + changed)


def act(bulk: BulkAction, keys: Iterable[int], asked: HttpRequest | None) -> int:
    """Do the action to these rows, as the operator who began it; `asked`: in their request, while they wait."""
    model: Any = apps.get_model(bulk.model)
    model_admin: Any = admin.site.get_model_admin(model)
    request: Any = asked or HttpRequest()
    if asked is None:
        request.user = get_user_model().objects.filter(username=bulk.username).first()
        request._messages = _Silence()
    if request.user is None:
        return 0
    request.is_bulk = True
    do = getattr(type(model_admin), bulk.action).__wrapped__  # what row_action has made an action of
    changed: int = do(model_admin, request, model._default_manager.filter(pk__in=list(keys)))
    return changed


def requested(request: HttpRequest, pk: int) -> BulkAction:
    """The action of a page, for who may do it."""
    bulk = BulkAction.objects.filter(pk=pk).first()
    app, _dot, model = (bulk.model if bulk else "x.x").lower().partition(".")
    if bulk is None or not request.user.has_perm(f"{app}.change_{model}"):
        raise Http404
    return bulk


@page("bulk/<int:pk>/", "bulk_action", "users.view_user")
def bulk_page(request: HttpRequest, pk: int) -> HttpResponse:
    """How far an action has come."""
    bulk = requested(request, pk)
    seconds = (bulk.finished_at or time.time()) - bulk.created_at
    left = seconds / bulk.done * (bulk.total - bulk.done) if bulk.done and bulk.is_running else 0
    return render_page(
        request,
        "config/bulk_action.html",
        _(bulk.title),
        bulk=bulk,
        progress=progress_bar(bulk.done, bulk.total, f"{bulk.done} / {bulk.total}"),
        left=format_age(left) if left else "",
        opts=apps.get_model(bulk.model)._meta,
    )


@page("bulk/<int:pk>/stop/", "stop_bulk_action", "users.view_user")
def stop_bulk_action(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop it; what has been done stays done."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    bulk = requested(request, pk)
    if BulkAction.objects.filter(pk=bulk.pk, finished_at=None).update(finished_at=int(time.time()), is_stopped=True):
        from config.admin.actions import record

        bulk.refresh_from_db()
        model: Any = apps.get_model(bulk.model)
        record(request, model, "stop", _("Stopped: %s") % _(bulk.title), bulk.done)
        messages.success(request, _("Stopped."))
    return redirect("admin:bulk_action", pk)
