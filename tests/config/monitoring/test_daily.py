"""Figures over time: a row a day and figure, charts of them and everything as CSV."""

import csv
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from config.jobs.tasks import update_daily_figures
from config.models import DailyFigure
from config.monitoring import daily, metrics
from movies.models import Movie
from ratings.models import Rating
from users.models import User

pytestmark = pytest.mark.django_db


def figure(name, days_ago=0):
    return DailyFigure.objects.get(day=timezone.localdate() - timedelta(days=days_ago), name=name).number


@pytest.fixture
def people():
    now = int(time.time())
    User.objects.create(pk=1, first_seen_at=now, last_seen_at=now)
    User.objects.create(pk=2, first_seen_at=now - 20 * 86_400, last_seen_at=now - 3 * 86_400)
    User.objects.create(pk=3, first_seen_at=now - 400 * 86_400, last_seen_at=now - 20 * 86_400, blocked_at=now)
    Movie.objects.create(pk=603, title="x")
    Rating.objects.create(user_id=1, movie_id=603, normalized_rating=5, manual_rating=5, source="manual", rated_at=now)


def test_a_day_says_who_came_what_was_rated_and_sent(people):
    for name in ("cards.by_file_id", "carousel.rec.shown", "imports.done"):
        metrics.increment(name, 4)
    metrics.flush()
    update_daily_figures()
    assert [figure(f"active_{span}") for span in ("day", "week", "month")] == [1, 2, 3]
    assert (figure("new_people"), figure("people"), figure("blocked")) == (1, 3, 1)
    assert (figure("ratings"), figure("ratings_in_chat")) == (1, 1)
    assert (figure("cards_by_file_id"), figure("recommendations_shown"), figure("imports")) == (4, 4, 4)
    monday = timezone.localdate() - timedelta(days=timezone.localdate().weekday())
    assert (figure(f"arrived_{monday}"), figure(f"retained_{monday}")) == (1, 1)


def test_counting_again_replaces_and_yesterdays_visits_stay_as_they_were_counted(people):
    yesterday = timezone.localdate() - timedelta(days=1)
    DailyFigure.objects.create(day=yesterday, name="active_day", number=7)
    update_daily_figures(), update_daily_figures()
    assert figure("active_day", 1) == 7
    assert figure("ratings", 1) == 0
    assert DailyFigure.objects.filter(day=timezone.localdate(), name="ratings").count() == 1


def test_the_front_page_draws_three_charts_and_offers_everything_as_csv(people, client):
    client.force_login(get_user_model().objects.create_superuser("olga"))
    long_ago = timezone.localdate() - timedelta(days=800)
    DailyFigure.objects.create(day=long_ago, name="ratings", number=12)
    update_daily_figures()
    (widget,) = [one for one in client.get(reverse("admin:index")).context["widgets"] if one.id == "figures"]
    assert [chart.latest for chart in widget.charts] == [1, 1, 1]
    assert widget.charts[0].picture.count("<rect") == 90
    text = b"".join(client.get(widget.url).streaming_content).decode()
    rows = list(csv.reader(text.splitlines()))
    assert rows[0] == ["day", "figure", "number"]
    assert rows[1] == [long_ago.isoformat(), "ratings", "12"]
    assert len(rows) == 1 + DailyFigure.objects.count()


def test_a_day_is_a_whole_one_where_the_clocks_change(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    with timezone.override("Europe/Berlin"):
        day = daily.day_of(datetime(2026, 3, 29, 10, tzinfo=UTC))
    assert day.end - day.begin == 23 * 3600
