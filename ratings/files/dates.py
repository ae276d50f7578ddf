"""Dates as people's files write them; the order of day and month is decided from the file as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

DAY_SECONDS = 86_400
MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "jan янв ene gen sty січ oca", "feb фев fév fev lut лют şub", "mar мар mär бер",
            "apr апр abr avr kwi кві nis", "may мая май mai mag maj тра", "jun июн juin giu cze чер haz",
            "jul июл juil lug lipc лип tem",
            "aug авг ago aoû aou sie сер ağu", "sep сен set wrz вер eyl", "oct окт okt ott out paź жов eki",
            "nov ноя лис kas", "dec дек dez dic déc gru гру ara",
        ],
        start=1,
    )
    for name in names.split()
}  # fmt: skip
TIME = r"(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*([ap]m)?"
AT = rf"(?:,?\s+(?:(?:в|at)\s+)?{TIME})?"
NUMERIC = re.compile(rf"(?:{TIME},?\s+)?(\d{{1,2}})([./-])(\d{{1,2}})\6(\d{{4}}|\d\d)\.?{AT}", re.I)
NAMED = re.compile(
    rf"(?:(\d{{1,2}})(?:\.|st|nd|rd|th)?(?:\s+|-)(?:de\s+)?([^\W\d]{{3,}})\.?"
    rf"|([^\W\d]{{3,}})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?)"
    rf"(?:,?\s+|-)(?:de\s+)?(\d{{4}}|(?<=-)\d\d)(?:\s*г\.?)?{AT}",
    re.IGNORECASE,
)
UNIX = re.compile(r"(\d{9,10})(\d{3})?")
ISO_DAY = re.compile(r"^(\d{4})[/.年-](\d{1,2})[/.月-](\d{1,2})(?!\d)日?")
SERIAL = re.compile(r"[2-5]\d{4}([.,]\d+)?")  # a spreadsheet's number of days
SERIAL_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)


class Moment(NamedTuple):
    at: int | None  # UNIX seconds; None: unknown
    whole_day: bool  # only the day is known


UNKNOWN = Moment(None, False)


class DateOrder(NamedTuple):
    """Which orders of day and month a whole file allows, for dates such as 4/5/2020."""

    day_first: bool
    month_first: bool


def order_of(texts: Iterable[str], now: int) -> DateOrder:
    """The orders in which every date of the file exists and none lies in the future; of no date, of each alone."""
    fits = DateOrder(True, True)
    for text in texts:
        if (found := NUMERIC.fullmatch(text)) and found[6] != ".":
            day_first = _numeric(found, now, day_first=True).at is not None
            month_first = _numeric(found, now, day_first=False).at is not None
            if day_first or month_first:
                fits = DateOrder(fits.day_first and day_first, fits.month_first and month_first)
    return fits


def parse_date(text: str, now: int, order: DateOrder | None = None) -> Moment:
    """The moment that a date names (UTC where it names no zone), if it is unambiguous and not in the future.

    A date with points has the day first; one with slashes or dashes has the order that the file as a whole shows.
    """
    text = text.strip()
    if not text:
        return UNKNOWN
    if found := NUMERIC.fullmatch(text):
        if found[6] == ".":
            return _numeric(found, now, day_first=True)
        order = order or order_of([text], now)
        either = _numeric(found, now, day_first=order.day_first)
        return either if order.day_first != order.month_first or found[5] == found[7] else UNKNOWN
    if found := NAMED.fullmatch(re.sub(r"^[^\W\d]{2,}, ", "", text)):  # a day of the week
        month = _month(found[2] or found[3])
        day, year = int(found[1] or found[4]), _full_year(found[5], now)
        return _moment(year, month, day, found.groups()[5:9], now)
    if found := UNIX.fullmatch(text):
        return _bounded(int(found[1]), False, now)
    if found := SERIAL.fullmatch(text):
        days = float(text.replace(",", "."))
        return _bounded(int(SERIAL_EPOCH.timestamp() + round(days * DAY_SECONDS)), found[1] is None, now)
    return _standard(text, now)


def _standard(text: str, now: int) -> Moment:
    """ISO 8601 in its usual variants, and IMDb's of old (Sat Mar  4 00:00:00 2017)."""
    iso = ISO_DAY.sub(lambda day: f"{day[1]}-{int(day[2]):02}-{int(day[3]):02}", text).partition(" (")[0]
    at = None
    with suppress(ValueError):
        at = datetime.fromisoformat(iso)
    for style in (
        "%Y-%m-%d %H:%M:%S UTC",
        "%a %b %d %H:%M:%S %Y",
        "%a, %d %b %Y %H:%M:%S %z",
        "%a %b %d %Y %H:%M:%S GMT%z",
    ):
        if at is None:
            with suppress(ValueError):
                at = datetime.strptime(iso, style)
    if at is None:
        return UNKNOWN
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        seconds = int(at.timestamp())
    except (ValueError, OverflowError):
        return UNKNOWN
    midnight = re.search(r"00:00:00(\.0+)?( \d{4})?$", text)  # a spreadsheet's day, and IMDb's
    return _bounded(seconds, len(text) <= len("2023-05-02") or bool(midnight), now)


def _numeric(found: re.Match[str], now: int, day_first: bool) -> Moment:
    one, other, year = int(found[5]), int(found[7]), _full_year(found[8], now)
    day, month = (one, other) if day_first else (other, one)
    time = found.groups()[8:12] if found[9] else found.groups()[0:4]
    return _moment(year, month, day, time, now)


def _full_year(text: str, now: int) -> int:
    year = int(text)
    return year if year >= 100 else year + (2000 if year <= datetime.fromtimestamp(now, UTC).year % 100 else 1900)


def _moment(year: int, month: int, day: int, time: tuple[str | None, ...], now: int) -> Moment:
    hour, minute, second, half = time
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    try:
        at = datetime(year, month, day, hours, int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError:
        return UNKNOWN
    return _bounded(int(at.timestamp()), hour is None, now)


def _month(name: str) -> int:
    """1-12 by the first letters of its name in a usual language; 0 for what is no month."""
    lower = name.lower()
    return MONTHS.get(lower[:4]) or MONTHS.get(lower[:3]) or 0


def _bounded(seconds: int, whole_day: bool, now: int) -> Moment:
    return Moment(seconds, whole_day) if 0 < seconds <= now + DAY_SECONDS else UNKNOWN
