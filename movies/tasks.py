"""The films' jobs: each finds by itself what waits, may run twice, late or beside itself, and ends in good time."""

from __future__ import annotations

import logging

from config.jobs.enqueue import worker_stop_event
from config.jobs.locks import ALREADY_RUNNING, lock
from movies import refresh, unheard

log = logging.getLogger(__name__)

SECONDS = 100  # after which no film is begun; Q_CLUSTER's timeout is 300


def refresh_movies(limit: int | None = None) -> str:
    """Read again what was read longest ago: an hour's share, or `limit` films."""
    with lock("movies.refresh") as free:
        if not free:
            return ALREADY_RUNNING
        run = refresh.refresh_movies(refresh.Refresh(worker_stop_event(), SECONDS), limit)
    if run.done or run.trouble:
        log.info("films: %s", run)
    return str(run)


def check_answers():
    """See whether Telegram knew the photos of the cards that went out in answers to the webhook."""
    with lock("movies.check_answers") as free:
        if not free:
            return ALREADY_RUNNING
        asked, again = unheard.check_answers()
    if again:
        log.warning("%s cards sent again: Telegram did not know their photos", again)
    return f"{asked} photos asked for, {again} cards sent again"
