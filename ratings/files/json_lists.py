"""Lists of objects in a JSON document of any layout, as the tables that they would be in a CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from ratings.files.rows import MAX_ROWS

MAX_DEPTH = 4  # of a list within the document, and of a value within an object
MAX_COLUMNS = 100
GUID = re.compile(r"(imdb|tmdb)://(\w{1,20})")  # as Plex writes ids
KINDS = re.compile(r"(tv[ _-]?)?(shows?|series|seasons?|episodes?|anime|manga|games?|books?|music)", re.IGNORECASE)


def tables_of(data: Any, key: str = "", depth: int = 0) -> Iterator[Iterator[list[str]]]:
    """Tables with a header: one for each list of objects; `key`: the name under which the value stands.

    Their lines are made one after another, so that a table takes no memory besides the document.

    The name of a list tells what it is of where its objects do not: movies, shows, anime.
    """
    if isinstance(data, list):
        items = [item for item in data[: MAX_ROWS + 1] if isinstance(item, dict)]
        names: dict[str, None] = {}
        for item in items:
            names |= dict.fromkeys(flat(item))
            if len(names) >= MAX_COLUMNS:
                break
        if names:
            kind = ["kind"] if KINDS.fullmatch(key) else []
            cells = ([*(row.get(name, "") for name in names), *(key for _kind in kind)] for row in map(flat, items))
            yield chain([[*names, *kind]], cells)
    elif isinstance(data, dict) and depth < MAX_DEPTH:
        for name, value in data.items():
            yield from tables_of(value, str(name), depth + 1)


def flat(item: dict[str, Any], depth: int = 0) -> dict[str, str]:
    """The values of an object and of the objects in it, by their own names; what stands further out counts."""
    cells: dict[str, str] = {}
    inner: list[dict[str, str]] = []
    for name, value in item.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            text = f"{value:.10g}" if isinstance(value, float) else str(value)
            cells[str(name)] = text
            if found := GUID.fullmatch(text):
                inner.append({found[1]: found[2]})
        elif isinstance(value, dict) and depth < MAX_DEPTH:
            inner.append(flat(value, depth + 1))
        elif isinstance(value, list) and depth < MAX_DEPTH:
            inner += [ids for one in value[:20] if isinstance(one, dict) and (ids := guids(one))]
    for found_inside in inner:
        cells = found_inside | cells
    return cells


def guids(item: dict[str, Any]) -> dict[str, str]:
    found = [GUID.fullmatch(value) for value in item.values() if isinstance(value, str)]
    return {one[1]: one[2] for one in found if one}
