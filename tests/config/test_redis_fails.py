"""Redis is full, takes no writes, hangs or is away: the chat does not notice, and nothing is lost."""

import re
import signal

import pytest

from movies.models import Movie
from ratings.models import Rating
from tests.helpers.imports import linked
from tests.helpers.servers import Redis
from tests.helpers.waiting import wait_until


def fill(redis):
    redis.client.config_set("maxmemory", "1mb")  # with the policy noeviction, Redis' default


def make_read_only(redis):
    redis.client.replicaof("127.0.0.1", 1)


FAULTS = {
    "full": fill,
    "read-only": make_read_only,
    "away": Redis.stop,
    "hanging": lambda redis: redis.process.send_signal(signal.SIGSTOP),
}


@pytest.fixture
def own_redis():
    with Redis() as redis:
        yield redis
        if redis.process.poll() is None:
            redis.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_rating_is_kept_and_confirmed_and_a_search_answered(start, own_redis, anna, sandbox, fault):
    Movie.objects.create(pk=603, title="Матрица", search_text="матрица|the matrix", runtime=136)
    linked(sandbox, anna, "anna")
    bot = start("runbot", REDIS_URL=own_redis.url, TMDB_REQUESTS_PER_SECOND="50")
    anna.send("/movie 603")
    card = anna.wait(lambda message: any(button.data == "rate:603:8" for row in message.buttons for button in row))
    fault(own_redis)
    query = anna.press(card, data="rate:603:8")
    wait_until(lambda: query.answer, 90, lambda: bot.output)
    assert "8" in query.answer.text
    assert Rating.objects.get(user_id=anna.id, movie_id=603).value == 8
    asked = anna.send("матрица")
    assert anna.wait(after=asked, timeout=60).buttons
    asked = anna.send("inception")  # of which TMDb knows more than the table
    assert anna.wait(after=asked, timeout=60).buttons
    assert "Traceback" not in bot.output
    failures = re.findall("(no worker can be woken|the cache does not serve|Redis keeps no rate limits): ", bot.output)
    assert failures
    assert len(failures) == len(set(failures)), "each is logged once a minute"
