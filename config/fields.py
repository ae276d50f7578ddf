"""Columns that read the same whichever program wrote them."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression


class PlainTextField(models.TextField):
    """A text that may be missing: "" here and where we write it; a NULL that another program wrote reads as "" too.

    A query for rows that have the text says `field__gt=""`, for those that lack it `exclude(field__gt="")`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        defaults: dict[str, Any] = {"null": True, "blank": True, "default": "", "db_default": ""}
        super().__init__(*args, **defaults | kwargs)

    def from_db_value(self, value: str | None, expression: Expression, connection: BaseDatabaseWrapper) -> str:
        return "" if value is None else value
