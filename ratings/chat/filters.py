"""The filters of a carousel in words and buttons: genres, decade, length, the watchlist."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from movies.names import GENRES, genre_names
from ratings.recommendations.recommender import NO_FILTERS, Filters

if TYPE_CHECKING:
    from config.bot.replies import KeyboardButton
    from ratings.recommendations.recommender import Range

FIRST_DECADE = 1960  # the decades before are one
OLD: Range = (1800, FIRST_DECADE - 1)
SHORT_MINUTES, LONG_MINUTES = 100, 140  # a movie is short up to the first, long from the second on
SHORT: Range = (1, SHORT_MINUTES)
LENGTHS = {
    "any": None,
    "short": SHORT,
    "middle": (SHORT_MINUTES + 1, LONG_MINUTES),
    "long": (LONG_MINUTES + 1, 100_000),
}
# What a press on a genre's button makes of it: wanted, then unwanted, then neither
NEUTRAL, WANTED, UNWANTED = 0, 1, 2
MARKS = {NEUTRAL: "", WANTED: "✓ ", UNWANTED: "✕ "}
CHANGES = r"genre:(?:any|\d{1,9}:[012])|years:(?:any|old|\d{4})|minutes:(?:any|short|middle|long)|listed:[01]|clear"


def describe(filters: Filters) -> str:
    """All conditions in words; empty where there is none."""
    parts = []
    if filters.genres:
        parts.append(_(" or ").join(genre_names(sorted(filters.genres))))
    if filters.without:
        parts.append(_("without: %(genres)s") % {"genres": ", ".join(genre_names(sorted(filters.without)))})
    if filters.years:
        parts.append(years_title(filters.years))
    if filters.minutes:
        parts.append(minutes_title(filters.minutes))
    if filters.listed:
        parts.append(_("from my list"))
    return " · ".join(parts)


def years_title(years: Range | None) -> str:
    if years is None:
        return _("Any decade")
    if years == OLD:
        return _("before %(year)d") % {"year": FIRST_DECADE}
    return _("%(decade)ss") % {"decade": years[0]}


def minutes_title(minutes: Range | None) -> str:
    if minutes is None:
        return _("Any length")
    if minutes == SHORT:
        return _("up to %(minutes)d min") % {"minutes": SHORT_MINUTES}
    if minutes == LENGTHS["middle"]:
        return _("%(from)d to %(to)d min") % {"from": minutes[0], "to": minutes[1]}
    return _("over %(minutes)d min") % {"minutes": LONG_MINUTES}


def changed(filters: Filters, change: str) -> Filters:
    """The filters after a button's change, one of CHANGES: what it sets is an end state."""
    kind, *values = change.split(":")
    if kind == "genre" and values[0] == "any":
        return replace(filters, genres=frozenset(), without=frozenset())
    if kind == "genre":
        genre, state = {int(values[0])}, int(values[1])
        return replace(
            filters,
            genres=filters.genres | genre if state == WANTED else filters.genres - genre,
            without=filters.without | genre if state == UNWANTED else filters.without - genre,
        )
    if kind == "years":
        code = values[0]
        years = (int(code), int(code) + 9) if code.isdigit() else OLD if code == "old" else None
        return replace(filters, years=years)
    if kind == "minutes":
        return replace(filters, minutes=LENGTHS[values[0]])
    if kind == "listed":
        return replace(filters, listed=values[0] == "1")
    return NO_FILTERS


# --- Buttons; `prefix` is what their callback data begins with


def menu_rows(filters: Filters, prefix: str, has_list: bool) -> list[list[KeyboardButton]]:
    """The kinds of filters, each with what is set."""
    genres = len(filters.genres | filters.without)
    titles = (
        ("genres", _("Genres: %(count)d") % {"count": genres} if genres else _("Genres")),
        ("years", years_title(filters.years)),
        ("minutes", minutes_title(filters.minutes)),
    )
    is_short = filters.minutes == SHORT
    rows: list[list[KeyboardButton]] = [
        [(title, f"{prefix}:menu:{kind}") for kind, title in titles],
        [(("● " if is_short else "") + _("Something short"), f"{prefix}:minutes:{'any' if is_short else 'short'}")],
    ]
    if has_list:
        mark = "● " if filters.listed else ""
        rows.append([(mark + _("From my list"), f"{prefix}:listed:{int(not filters.listed)}")])
    return rows


def choice_rows(kind: str, filters: Filters, prefix: str) -> list[list[KeyboardButton]]:
    """The choices of a kind: "genres", "years" or "minutes"."""
    choices: list[KeyboardButton]
    if kind == "genres":
        by_name = sorted(zip(genre_names(GENRES), GENRES, strict=True), key=lambda one: one[0].casefold())
        states = {id: state_of(id, filters) for id in GENRES}
        choices = [(MARKS[states[id]] + name, f"{prefix}:genre:{id}:{(states[id] + 1) % 3}") for name, id in by_name]
    elif kind == "years":
        newest = date.today().year // 10 * 10
        codes = ["any", *map(str, range(newest, FIRST_DECADE - 1, -10)), "old"]
        choices = [
            (mark(years_title(wanted.years), wanted.years == filters.years), f"{prefix}:years:{code}")
            for code in codes
            for wanted in [changed(NO_FILTERS, f"years:{code}")]
        ]
    else:
        choices = [
            (mark(minutes_title(minutes), minutes == filters.minutes), f"{prefix}:minutes:{code}")
            for code, minutes in LENGTHS.items()
        ]
    width = 3 if kind == "years" else 2  # a phone cuts "документальный" off in a third of its width
    return [choices[start : start + width] for start in range(0, len(choices), width)]


def state_of(genre: int, filters: Filters) -> int:
    return WANTED if genre in filters.genres else UNWANTED if genre in filters.without else NEUTRAL


def mark(title: str, is_chosen: bool) -> str:
    return f"● {title}" if is_chosen else title


def widening_row(filters: Filters, prefix: str) -> list[KeyboardButton]:
    """A button for each condition that may be dropped."""
    row: list[KeyboardButton] = []
    if filters.genres or filters.without:
        row.append((_("Any genre"), f"{prefix}:genre:any"))
    if filters.years:
        row.append((_("Any decade"), f"{prefix}:years:any"))
    if filters.minutes:
        row.append((_("Any length"), f"{prefix}:minutes:any"))
    if filters.listed:
        row.append((_("Not only my list"), f"{prefix}:listed:0"))
    return row
