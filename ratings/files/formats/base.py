"""What a format is: the columns of a table by name, and what its ratings are out of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from movies.models import casefolded_text
from ratings.files.rows import Purpose, Row, Scale, make_row

Field = Callable[[str], str]  # the text of a row under a meaning: title, year, rating …
Columns = Mapping[str, Sequence[str]]  # {meaning: names of columns, the first that a row fills counts}


def column_key(name: str) -> str:
    """A column's name as names are compared: "Your Rating" and "your_rating" are one."""
    return casefolded_text(name).replace(" ", "")


@dataclass(frozen=True)
class TableFormat:
    """A layout of tables. `marks` are names of columns that together tell it from every other layout."""

    title: str
    marks: Sequence[str]
    columns: Columns
    scale: Scale = Scale.TEN
    purpose: Purpose | Callable[[Field], Purpose] = Purpose.RATING
    needs: Sequence[str] = ("rating",)  # meanings that must have a column, besides one of the film's name
    adapt: Callable[[Field], Field] | None = None  # where a cell means something only together with another
    places: Mapping[str, Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        keys = {meaning: [column_key(name) for name in names] for meaning, names in self.columns.items()}
        object.__setattr__(self, "places", keys)
        object.__setattr__(self, "marks", [column_key(name) for name in self.marks])

    def fits(self, names: Mapping[str, int]) -> bool:
        """Whether a header, {column key: index}, is this layout's: with its marks, a name of the film, and a rating."""

        def has(*meanings: str) -> bool:
            return any(key in names for meaning in meanings for key in self.places.get(meaning, ()))

        named = has("title", "original_title", "tmdb_id", "imdb_id")
        return all(mark in names for mark in self.marks) and named and all(has(meaning) for meaning in self.needs)

    def row_reader(self, names: Mapping[str, int]) -> Callable[[list[str]], Row]:
        """A function from the cells of a line to its Row, for tables with this header."""
        indexes = {meaning: [names[key] for key in keys if key in names] for meaning, keys in self.places.items()}
        indexes["rating"] = indexes.get("rating", [])[:1]  # beside the person's own there may be everybody's mean

        def read(cells: list[str]) -> Row:
            def cell(meaning: str) -> str:
                filled = (cells[index].strip() for index in indexes.get(meaning, ()) if index < len(cells))
                return next(filter(None, filled), "")

            purpose = self.purpose if isinstance(self.purpose, Purpose) else self.purpose(cell)
            return make_row(self.adapt(cell) if self.adapt else cell, self.scale, purpose)

        return read


def row_of(scale: Scale = Scale.TEN, purpose: Purpose = Purpose.RATING, **fields: Any) -> Row:
    """A row from JSON values by meaning; what is neither text nor a number counts as empty."""

    def text(meaning: str) -> str:
        value = fields.get(meaning)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return ""
        return f"{value:.10g}" if isinstance(value, float) else str(value).strip()

    return make_row(text, scale, purpose)


def part(value: Any, name: str) -> dict[str, Any]:
    """The object under this name of a JSON object; empty where there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def members(value: Any, name: str) -> list[dict[str, Any]]:
    """The objects in a list under this name of a JSON object; other things are left out."""
    found = value.get(name) if isinstance(value, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
