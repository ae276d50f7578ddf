"""Lists in the back office over tables of any size: no page counts a big table or reads the million rows before it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import connections
from django.utils.functional import cached_property

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIRequest
    from django.core.paginator import Page

    from movies.admin import MovieAdmin
    from ratings.admin import ImportAdmin
    from users.admin import UserAdmin

EXACT = 500  # rows up to which a list knows its length; above, PostgreSQL's planner estimates it
MOST_PAGES = 200  # of an estimated list; what lies further on is found by key


class BigTablePaginator(Paginator):
    """Pages of a table of any size, for a ModelAdmin's `paginator`; each is found by its keys, which are short."""

    @property
    def estimates(self) -> bool:
        return connections[self.object_list.db].vendor == "postgresql"

    @cached_property
    def count(self) -> int:
        if not self.estimates:
            return super().count
        rows = self.object_list.order_by()
        exact = rows.values("pk")[: EXACT + 1].count()
        return exact if exact <= EXACT else max(exact, expected(rows))

    @property
    def estimated(self) -> bool:
        return self.estimates and self.count > EXACT

    @cached_property
    def num_pages(self) -> int:
        pages = super().num_pages
        return min(pages, MOST_PAGES) if self.estimated else pages

    def page(self, number: int) -> Page:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = list(self.object_list.values_list("pk", flat=True)[first : first + self.per_page])
        return self._get_page(self.object_list.filter(pk__in=keys), number, self)


class BigTableList(ChangeList):
    """A ModelAdmin's list with a way past its last page."""

    def further(self) -> str | None:
        """The query that begins behind the last row, where there are more rows than pages; None elsewhere."""
        order = self.queryset.query.order_by[:1]
        key = self.opts.pk.name
        last_page = self.page_num == self.paginator.num_pages == MOST_PAGES
        if not (self.paginator.estimated and last_page and order and order[0].lstrip("-") in ("pk", key)):
            return None
        direction = "lt" if order[0].startswith("-") else "gt"
        return self.get_query_string({f"{key}__{direction}": list(self.result_list)[-1].pk}, ["p"])


def big_table_list(
    self: UserAdmin | ImportAdmin | MovieAdmin, request: WSGIRequest, **options: Any
) -> type[BigTableList]:
    """A ModelAdmin's `get_changelist`."""
    return BigTableList


def expected(rows) -> int:
    """How many rows PostgreSQL's planner expects."""
    return int(json.loads(rows.values("pk").explain(format="json"))[0]["Plan"]["Plan Rows"])
