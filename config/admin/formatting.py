"""How the admin writes times, ages and states."""

import time
from datetime import UTC, datetime

from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

EMPTY = "—"
DAY_SECONDS = 86_400


def to_datetime(timestamp: float | None) -> datetime | None:
    """The UNIX time as an aware datetime, which templates show in the viewer's zone; None for no time."""
    return datetime.fromtimestamp(timestamp, UTC) if timestamp else None


def format_datetime(timestamp: float | None) -> SafeString | str:
    """A `<time>` element of the UNIX time, in the viewer's zone."""
    at = to_datetime(timestamp)
    if at is None:
        return EMPTY
    text = formats.date_format(timezone.localtime(at), "j E Y, H:i")
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), text)


def format_hour(timestamp: float) -> str:
    return formats.time_format(timezone.localtime(datetime.fromtimestamp(timestamp, UTC)), "H:i")


def format_age(seconds: float) -> str:
    """A time span in its largest unit that gives at least 2, such as "58 s" or "3 h"."""
    age = max(0, int(seconds))
    for unit, text in ((DAY_SECONDS, _("%d days")), (3600, _("%d h")), (60, _("%d min"))):
        if age >= 2 * unit:
            return text % (age // unit)
    return _("%d s") % age


def time_since(timestamp: float) -> str:
    return _("%s ago") % format_age(time.time() - timestamp)


def format_duration(seconds: float) -> str:
    """A time span as minutes:seconds, or hours:minutes:seconds from one hour on."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def badge(tone: str, text: str) -> SafeString:
    """A state as a coloured label; `tone` is a class of the stylesheet: good, ready, busy, bad or idle."""
    return format_html('<span class="state {}">{}</span>', tone, text)
