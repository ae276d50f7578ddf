"""What the admin classes of all apps share: read-only rows, filters by condition."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from config.admin.history import history
from config.admin.pagination import EstimatedCountPaginator, KeysetChangeList

ModelT = TypeVar("ModelT", bound=Model)
MAX_TELEGRAM_ID_DIGITS = 18  # of a number that fits into a bigint


class ReadOnlyAdmin(admin.ModelAdmin, Generic[ModelT]):
    """A list and pages of rows that come from TMDb and Telegram: they are not edited here, only actions change them."""

    list_per_page = 50
    ordering = ("-pk",)
    paginator = EstimatedCountPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's, with the actions over many rows that reached this one too."""
        response = super().history_view(request, object_id, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            key = response.context_data["object"].pk
            response.context_data |= history(self.model, key, request.GET.get(PAGE_VAR, 1))
        return response

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ModelT | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ModelT | None = None) -> bool:
        return False


class ConditionFilter(admin.SimpleListFilter):
    """A list filter each of whose choices is a condition on the rows."""

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """{value in the address: (label, condition)}"""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(value, label) for value, (label, _condition) in self.conditions().items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        chosen = self.conditions().get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


def parse_id(text: str) -> int | None:
    """The id that an operator typed into a search field; None for what is none."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_TELEGRAM_ID_DIGITS else None
