"""The operator is told what goes wrong: once an hour a cause, and when it is over."""

import time

import pytest
from django.conf import settings
from django.core.cache import cache

from config.database import redis_client
from config.jobs.tasks import look_for_trouble
from config.models import Alert, Heartbeat, RateLimit
from config.monitoring import alerts, disk, metrics, webhook
from movies.tmdb import KeyRefused, TMDb

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(sandbox, settings, handle):
    """The operator, to whom alerts go; everything runs."""
    olga = sandbox.telegram.person("Ольга", language_code="ru")
    olga.send("/start")
    handle()
    settings.OPERATOR_CHAT_ID = str(olga.id)
    cache.clear()
    beat()
    return olga


def beat():
    """A heartbeat of all that has to run."""
    Heartbeat.objects.all().delete()
    for kind, name in (("bot", "here"), ("worker", "here kinoteka 1"), ("schedule", "upload posters")):
        Heartbeat.objects.create(kind=kind, name=name, seen_at=time.time())


def look():
    """The next look, a minute after the one before."""
    RateLimit.objects.filter(name="alerts").delete()
    if settings.REDIS_URL:
        redis_client().delete("rate_limit:alerts")
    metrics.flush()
    look_for_trouble()


def told(person):
    return [message.text for message in person.chat if message.text and message.text[0] in "⚠✅"]


def test_nothing_is_said_while_all_is_well(olga):
    look()
    assert told(olga) == []


def test_a_silent_bot_is_told_once_an_hour_and_when_it_is_back(olga):
    Heartbeat.objects.filter(kind="bot").update(seen_at=time.time() - 300)
    look(), look()
    assert len(told(olga)) == 1
    assert "bot" in told(olga)[0]
    Alert.objects.update(told_at=int(time.time()) - alerts.REPEAT_SECONDS)
    look()
    assert len(told(olga)) == 2
    beat()
    look(), look()
    assert [text[0] for text in told(olga)] == ["⚠", "⚠", "✅"]


def test_what_comes_and_goes_is_told_no_more_than_once_an_hour(olga):
    for _round in range(3):
        Heartbeat.objects.filter(kind="worker").update(seen_at=time.time() - 300)
        look()
        beat()
        look()
    assert [text[0] for text in told(olga)] == ["⚠", "✅"]


def test_one_of_many_processes_looks_a_minute(olga):
    Heartbeat.objects.filter(kind="bot").update(seen_at=time.time() - 300)
    look_for_trouble()
    Alert.objects.all().delete()
    look_for_trouble()
    assert len(told(olga)) == 1


def test_tmdbs_refusal_of_the_key_a_channels_and_many_failures_are_told(olga, sandbox, settings):
    settings.TMDB_API_KEY = "wrong"
    with pytest.raises(KeyRefused):
        TMDb(background=False).check_key()
    metrics.increment("failed:channels:channel -100 takes no posters (Forbidden)")
    metrics.increment("updates.failed", alerts.MAX_FAILURES)
    look()
    texts = " ".join(told(olga))
    assert "TMDB_API_KEY" in texts
    assert "channel -100" in texts
    assert str(alerts.MAX_FAILURES) in texts
    assert len(told(olga)) == 3


def test_a_full_disk_is_told(olga, monkeypatch):
    monkeypatch.setattr(disk, "usage", lambda folder: (1, 100 * 2**30))
    look()
    assert "102400" in told(olga)[0]


def test_telegrams_error_at_the_webhook_is_told(olga, sandbox, settings):
    settings.TELEGRAM_WEBHOOK_URL, settings.TELEGRAM_WEBHOOK_SECRET = "https://kinoteka.example", "s"
    look()
    assert "set_webhook" in told(olga)[0]
    state = {"asked_at": time.time(), "url": "https://kinoteka.example/telegram/webhook/", "pending": 7}
    state |= {"last_error_at": int(time.time()), "last_error": "Connection refused", "inline_mode": True}
    assert [problem.kind for problem in webhook.problems(state)] == ["error"]
    assert webhook.problems(state | {"last_error_at": 5}) == []
    assert [problem.kind for problem in webhook.problems(state | {"last_error": "", "pending": 1000})] == ["pending"]


def test_nobody_to_tell_is_no_error(sandbox, settings):
    settings.OPERATOR_CHAT_ID = ""
    Heartbeat.objects.filter(kind="bot").delete()
    look()
    assert not Alert.objects.exists()


def test_an_alert_that_could_not_be_sent_is_sent_a_minute_later(olga, sandbox):
    Heartbeat.objects.filter(kind="bot").update(seen_at=time.time() - 300)
    sandbox.telegram.fail("sendMessage", 502, "Bad Gateway")
    look()
    assert told(olga) == []
    look()
    assert len(told(olga)) == 1


def test_a_chat_that_takes_no_alerts_is_a_line_of_the_log_an_hour(olga, settings, caplog):
    settings.OPERATOR_CHAT_ID = "404404"
    Heartbeat.objects.filter(kind="bot").update(seen_at=time.time() - 300)
    look(), look(), look()
    assert len([line for line in caplog.messages if "could not be told" in line]) == 1


def test_an_end_that_could_not_be_told_is_told_a_minute_later(olga, sandbox):
    Heartbeat.objects.filter(kind="bot").update(seen_at=time.time() - 300)
    look()
    beat()
    sandbox.telegram.fail("sendMessage", 429, "Too Many Requests: retry after 5", retry_after=5)
    look()
    assert [text[0] for text in told(olga)] == ["⚠"]
    look(), look()
    assert [text[0] for text in told(olga)] == ["⚠", "✅"]
