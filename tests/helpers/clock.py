"""A clock that jumps, in this process and in what the database's and Redis' own clocks have written."""

import time
from datetime import timedelta

from django.conf import settings
from django.core.cache.backends import db as database_cache
from django.db import connection
from django.db.models import F
from django.utils import timezone

from config.database import redis_client
from config.models import Lease, RateLimit


class Clock:
    """time.time() and timezone.now() from now on; jump() is an operator, or NTP, setting it."""

    def __init__(self, monkeypatch):
        self.offset = 0
        real_time, real_now = time.time, timezone.now
        monkeypatch.setattr(time, "time", lambda: real_time() + self.offset)
        for module, name in ((timezone, "now"), (database_cache, "tz_now")):
            monkeypatch.setattr(module, name, lambda: real_now() + timedelta(seconds=self.offset))

    def jump(self, seconds):
        self.offset += seconds
        if connection.vendor == "postgresql":  # the server's clock stays: what it has written moves instead
            RateLimit.objects.update(next_at=F("next_at") - seconds, updated_at=F("updated_at") - seconds)
            Lease.objects.update(expires_at=F("expires_at") - seconds)
        if settings.REDIS_URL:
            for key in redis_client().scan_iter("rate_limit:*"):
                moments = [float(moment) - seconds for moment in redis_client().get(key).split()]
                redis_client().set(key, " ".join(f"{moment:.6f}" for moment in moments))
