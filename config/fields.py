"""Columns that read the same whichever program wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    from django.db.backends.sqlite3.base import DatabaseWrapper
    from django.db.models.expressions import Col


class PlainTextField(models.TextField):
    """A text that may be missing: "" here and where we write it; a NULL that another program wrote reads as "" too.

    A query for rows that have the text says `field__gt=""`, for those that lack it `exclude(field__gt="")`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"null": True, "blank": True, "default": "", "db_default": ""} | kwargs)

    def from_db_value(self, value: str, expression: Col, connection: DatabaseWrapper) -> str:
        return "" if value is None else value
