"""Countries to choose from in /settings, and what time it probably is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

BY_LANGUAGE = {"ru": "RU", "en": "US"}  # whose release dates count until the user chooses
DEFAULT = "US"

# Hours before UTC+0 where most people of the country live, in winter: good enough to write to nobody at night
UTC_OFFSETS_HOURS = {
    "RU": 3, "UA": 2, "BY": 3, "KZ": 5, "UZ": 5, "KG": 6, "AM": 4, "AZ": 4, "GE": 4, "MD": 2, "IL": 2, "TR": 3,
    "US": -6, "CA": -5, "MX": -6, "BR": -3, "AR": -3, "GB": 0, "IE": 0, "PT": 0, "ES": 1, "FR": 1, "DE": 1, "AT": 1,
    "CH": 1, "IT": 1, "NL": 1, "BE": 1, "PL": 1, "CZ": 1, "RS": 1, "SE": 1, "NO": 1, "DK": 1, "FI": 2, "EE": 2,
    "LV": 2, "LT": 2, "BG": 2, "GR": 2, "IN": 5, "JP": 9, "KR": 9, "AU": 10,
}  # fmt: skip
FIRST_HOUR, LAST_HOUR = 10, 20  # between which people are written to unasked


def local_time(country: str, now: float) -> datetime:
    """The probable local time of who lives there; `now`: UNIX seconds."""
    hours = UTC_OFFSETS_HOURS.get(country, 0)
    return datetime.fromtimestamp(now, UTC).astimezone(timezone(timedelta(hours=hours)))


def is_daytime(country: str, now: float) -> bool:
    return FIRST_HOUR <= local_time(country, now).hour < LAST_HOUR
