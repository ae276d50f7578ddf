"""The films' jobs: each finds by itself what waits, may run twice, late or beside itself, and ends in good time."""

import logging

from config.jobs.enqueue import stop_event
from config.jobs.rate_limiter import BUSY, only_one
from movies import refresh

log = logging.getLogger(__name__)

SECONDS = 100  # after which no film is begun; Q_CLUSTER's timeout is 300


def refresh_movies(limit=None):
    """Read again what was read longest ago: an hour's share, or `limit` films."""
    with only_one("movies.refresh") as free:
        if not free:
            return BUSY
        run = refresh.refresh_movies(refresh.Refresh(stop_event(), SECONDS), limit)
    if run.done or run.trouble:
        log.info("films: %s", run)
    return str(run)
