"""The clock is set back or ahead, by hours or a day: everything goes on within a minute."""

import pytest
from django.conf import settings
from django.core.cache import caches

from config.database import redis_client
from config.jobs import locks, rate_limiter
from config.models import Lease

HOUR, DAY = 3600, 86_400
pytestmark = pytest.mark.django_db(transaction=True)

jumps = pytest.mark.parametrize("seconds", [-DAY, -2 * HOUR, -90, 2 * HOUR, DAY], ids=lambda s: f"{s / HOUR:+g}h")


@jumps
def test_a_rate_limit_goes_on_when_the_clock_jumps(clock, seconds):
    for _slot in range(3):
        rate_limiter._take("tmdb", 10, reserve=True)
    clock.jump(seconds)
    assert rate_limiter.try_acquire("tmdb", 1 / 10) == 0
    assert rate_limiter.try_acquire("tmdb", 1 / 10) == pytest.approx(10, abs=1), "the limit holds as before"


@jumps
def test_a_block_ends_early_rather_than_never_when_the_clock_jumps(clock, seconds):
    rate_limiter.block_for("channel:1", 60)
    clock.jump(seconds)
    assert rate_limiter.try_acquire("channel:1", 1) == 0
    rate_limiter.block_for("channel:1", 1800)
    assert rate_limiter.try_acquire("channel:1", 1) == pytest.approx(1800, abs=60)


def test_a_user_does_not_wait_for_slots_from_before_the_clock_was_set_back(clock):
    rate_limiter.acquire("tmdb", 1000, priority=True)
    clock.jump(-DAY)
    assert rate_limiter._take("tmdb", 1 / 1000, reserve=True) < 1


def test_a_slot_far_ahead_whose_writing_is_unknown_counts_as_free(clock):
    """As an earlier version has left it."""
    later = f"{4e9:.6f}"
    if settings.REDIS_URL:
        redis_client().set("rate_limit:tmdb", later)
    else:
        rate_limiter.RateLimit.objects.create(name="tmdb", next_at=float(later))
    assert rate_limiter.try_acquire("tmdb", 1) == 0


@jumps
def test_the_lease_of_a_dead_process_is_free_when_the_clock_jumps(clock, seconds):
    assert locks._acquire("posters.download", "a process that dies")
    assert locks.is_locked("posters.download")
    clock.jump(seconds)
    assert not locks.is_locked("posters.download")
    with locks.lock("posters.download") as free:
        assert free
        assert locks.is_locked("posters.download")
    assert not Lease.objects.exists()


@jumps
def test_a_lease_is_renewed_when_the_clock_jumps(clock, seconds):
    assert locks._acquire("ratings.import", "a living process")
    clock.jump(seconds)
    assert locks._acquire("ratings.import", "a living process")
    with locks.lock("ratings.import") as free:
        assert not free


@jumps
def test_what_a_cache_was_to_keep_for_seconds_is_not_kept_for_hours(clock, seconds):
    for cache in (caches["default"], caches["local"]):
        cache.clear()
        cache.set("counts", {1: 2}, 30)
        assert cache.get("counts") == cache.get_many(["counts"])["counts"] == {1: 2}
        assert cache.add("requested", True, 30)
        assert not cache.add("requested", True, 30)
        clock.jump(seconds)
        if not (settings.REDIS_URL and seconds > 0):  # Redis' own clock has not moved
            assert cache.get("counts", "none") == "none"
            assert not cache.get_many(["counts"])
            assert cache.add("requested", True, 30)
        cache.clear()
