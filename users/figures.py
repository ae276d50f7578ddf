"""Figures of people for the table `daily`."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils import timezone

from config.monitoring.daily import Day, figures
from users.models import User

DAY_SECONDS = 86_400
RETENTION_WEEKS = 12  # of arrival


@figures
def people(day: Day) -> Mapping[str, float]:
    """Who is new, who was active within a day, a week and a month, and who has blocked the bot."""
    found: dict[str, float] = {
        "new_people": User.objects.filter(first_seen_at__gte=day.begin, first_seen_at__lt=day.end).count(),
        "blocked": User.objects.filter(blocked_at__gte=day.begin, blocked_at__lt=day.end).count(),
    }
    if day.is_over:  # who comes back loses the trace of the visit before
        return found
    for name, days in (("active_day", 1), ("active_week", 7), ("active_month", 30)):
        since = day.end - days * DAY_SECONDS
        found[name] = User.objects.filter(last_seen_at__gte=since, last_seen_at__lt=day.end).count()
    return found | {"people": User.objects.count()}


@figures
def retention(day: Day) -> Mapping[str, float]:
    """Of the people of each week of arrival: how many came, and how many of them were active within a week."""
    if day.is_over:
        return {}
    found: dict[str, float] = {}
    monday = day.date - timedelta(days=day.date.weekday())
    for week in range(RETENTION_WEEKS):
        first = monday - timedelta(weeks=week)
        begin = int(timezone.make_aware(datetime.combine(first, datetime.min.time())).timestamp())
        arrived = User.objects.filter(first_seen_at__gte=begin, first_seen_at__lt=begin + 7 * DAY_SECONDS)
        if count := arrived.count():
            found[f"arrived_{first.isoformat()}"] = count
            found[f"retained_{first.isoformat()}"] = arrived.filter(last_seen_at__gte=day.end - 7 * DAY_SECONDS).count()
    return found
