"""The movies' jobs. Each finds its work in the tables, tolerates running twice, late or concurrently, and is short."""

import logging

from config.jobs.enqueue import worker_stop_event
from config.jobs.locks import ALREADY_RUNNING, lock
from config.jobs.time_limit import JOB_SECONDS, time_limit
from movies import refresh

log = logging.getLogger(__name__)

MAX_SECONDS = 100  # after which no movie is begun; Q_CLUSTER's timeout is 300


@time_limit(JOB_SECONDS)
def refresh_movies(limit: int | None = None) -> str:
    """Read again what was read longest ago: an hour's quota, or `limit` movies."""
    with lock("movies.refresh") as free:
        if not free:
            return ALREADY_RUNNING
        run = refresh.Refresh(worker_stop_event(), MAX_SECONDS).run(refresh.due_movies(limit))
    if run.done or run.error:
        log.info("movies: %s", run)
    return str(run)
