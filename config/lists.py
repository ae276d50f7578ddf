"""Lists in the back office over tables of any size: no page counts a big table, none skips through its rows."""

import json
from datetime import UTC, datetime

from django.core.paginator import Paginator
from django.db import connections
from django.utils.functional import cached_property
from django.utils.html import format_html

EXACT = 1000  # rows up to which a list knows its length; above, it is estimated


class BigTablePaginator(Paginator):
    """Pages of a table of any size, for a ModelAdmin's `paginator`.

    On PostgreSQL a length above EXACT is the planner's estimate. A page is found by its keys, which an index alone
    answers, so that the last of ten thousand pages costs little more than the first.
    """

    @cached_property
    def count(self):
        if connections[self.object_list.db].vendor != "postgresql":
            return super().count
        rows = self.object_list.order_by()
        exact = rows.values("pk")[: EXACT + 1].count()
        return exact if exact <= EXACT else max(exact, estimate(rows))

    @property
    def estimated(self):
        return self.count > EXACT and connections[self.object_list.db].vendor == "postgresql"

    def page(self, number):
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = list(self.object_list.values_list("pk", flat=True)[first : first + self.per_page])
        return self._get_page(self.object_list.filter(pk__in=keys), number, self)


def estimate(rows):
    """How many rows PostgreSQL's planner expects."""
    return int(json.loads(rows.values("pk").explain(format="json"))[0]["Plan"]["Plan Rows"])


def nobody(*anything):
    """No permission for anyone: what comes from TMDb and Telegram is not edited here."""
    return False


def moment(seconds):
    """A UNIX time as the admin shows times, in the viewer's zone; None where there is none."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def word(tone, text):
    """A state as a coloured word: tone is good, busy, bad or idle."""
    return format_html('<span class="state {}">{}</span>', tone, text)
