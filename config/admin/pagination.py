"""Pagination of tables of any size: no page counts a large table or reads the rows of the pages before it."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Page, Paginator
from django.db import connections
from django.db.models import QuerySet
from django.utils.functional import cached_property

MAX_EXACT_COUNT = 500  # a longer list shows the estimate of PostgreSQL's planner
MAX_PAGES = 200  # of an estimated list; the rows after them are reached by a filter on the primary key


class EstimatedCountPaginator(Paginator):
    """A paginator for ModelAdmin.paginator whose pages are read by primary key, which an index alone can answer."""

    object_list: QuerySet[Any, Any]

    @property
    def can_estimate(self) -> bool:
        return connections[self.object_list.db].vendor == "postgresql"

    @cached_property
    def count(self) -> int:
        if not self.can_estimate:
            return super().count
        rows = self.object_list.order_by()
        exact = rows.values("pk")[: MAX_EXACT_COUNT + 1].count()
        return exact if exact <= MAX_EXACT_COUNT else max(exact, estimated_rows(rows))

    @property
    def estimated(self) -> bool:
        """Whether `count` is an estimate."""
        return self.can_estimate and self.count > MAX_EXACT_COUNT

    @cached_property
    def num_pages(self) -> int:
        pages = super().num_pages
        return min(pages, MAX_PAGES) if self.estimated else pages

    def page(self, number: int | str) -> Page:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = list(self.object_list.values_list("pk", flat=True)[first : first + self.per_page])
        return Page(self.object_list.filter(pk__in=keys), number, self)


class KeysetChangeList(ChangeList):
    """A change list that leads beyond MAX_PAGES."""

    paginator: EstimatedCountPaginator

    def next_by_key(self) -> str | None:
        """The query string of the list that starts after the last row of the last page; None where no rows follow."""
        order = self.queryset.query.order_by[:1]
        primary_key = self.opts.pk
        last_page = self.page_num == self.paginator.num_pages == MAX_PAGES
        if not (last_page and self.paginator.estimated and primary_key and order):
            return None
        if order[0].lstrip("-") not in ("pk", primary_key.name):
            return None
        lookup = f"{primary_key.name}__{'lt' if order[0].startswith('-') else 'gt'}"
        return self.get_query_string({lookup: list(self.result_list)[-1].pk}, ["p"])


def estimated_rows(rows: QuerySet[Any, Any]) -> int:
    """The number of rows that PostgreSQL's planner expects."""
    return int(json.loads(rows.values("pk").explain(format="json"))[0]["Plan"]["Plan Rows"])
