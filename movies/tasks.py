"""The movies' jobs. Each finds its work in the tables, tolerates running twice, late or concurrently, and is short."""

import logging

from config.jobs.enqueue import async_task, worker_stop_event
from config.jobs.locks import ALREADY_RUNNING, lock
from config.jobs.time_limit import JOB_SECONDS, time_limit
from movies import cards, details
from movies.models import Movie

log = logging.getLogger(__name__)

MAX_SECONDS = 120  # after which no movie is begun


@time_limit(JOB_SECONDS)
def read_details(limit: int | None = None) -> str:
    """Read the details of films until none are due; of a long queue the next run goes on at once."""
    with lock(details.LEASE) as free:
        if not free:
            return ALREADY_RUNNING
        run = details.DetailsWorker(details.new_run(limit, MAX_SECONDS, worker_stop_event())).work()
    if summary := run.summary("read"):
        log.info("film details: %s", summary)
    if limit is None and not run.errors and Movie.objects.awaiting_details().exists():
        async_task(details.TASK, save=False)
    cards.edit_pending()
    return str(run)


def edit_cards() -> str:
    """Complete the cards that were sent before their films' details were there."""
    return f"{cards.edit_pending()} edited"
