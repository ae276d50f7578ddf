"""The history of a row in the admin: what was done to it alone, and what was done to it among many."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.paginator import Paginator
from django.db.models import Model
from django.utils.translation import gettext as _

from config.models import BulkBatch

PER_PAGE = 100


def history(model: type[Model], key: Any, page: str | int) -> dict[str, Any]:
    """What the page of a row's history shows, the oldest first."""
    own = LogEntry.objects.filter(object_id=str(key), content_type=ContentType.objects.get_for_model(model))
    entries = [*own.select_related("user"), *among_many(model, key)]
    entries.sort(key=lambda entry: entry.action_time)
    paginator = Paginator(entries, PER_PAGE)
    shown = paginator.get_page(page)
    return {
        "action_list": shown,
        "page_range": paginator.get_elided_page_range(shown.number),
        "pagination_required": paginator.count > PER_PAGE,
    }


def among_many(model: type[Model], key: Any) -> list[LogEntry]:
    """An entry, stored nowhere, for each action over many rows that reached this one: they share a stored one."""
    accounts = get_user_model()
    batches = BulkBatch.objects.filter(is_done=True).holding(model._meta.label, key)
    known = accounts.objects.in_bulk({batch.bulk.username for batch in batches}, field_name="username")
    return [
        LogEntry(
            user=known.get(batch.bulk.username) or accounts(username=batch.bulk.username),
            action_time=datetime.fromtimestamp(batch.bulk.created_at, UTC),
            action_flag=CHANGE,
            change_message=_(batch.bulk.title),
        )
        for batch in batches
    ]
