"""Figures of ratings and files for the table `daily`."""

from collections.abc import Mapping

from config.monitoring.daily import Day, figures
from ratings.models import FileImport, Rating, Source


@figures
def ratings(day: Day) -> Mapping[str, float]:
    """Ratings made in the chat or read from TMDb on that day, and files that people sent."""
    made = Rating.objects.filter(rated_at__gte=day.begin, rated_at__lt=day.end)
    return {
        "ratings": made.count(),
        "ratings_in_chat": made.filter(source=Source.MANUAL).count(),
        "files": FileImport.objects.filter(sent_at__gte=day.begin, sent_at__lt=day.end).count(),
    }
