"""The pipeline's jobs. Each finds due posters by itself, may run twice, late or concurrently, and is bounded."""

import logging
import time

from config.jobs import locks, rate_limiter
from config.jobs.enqueue import async_task, worker_stop_event
from config.jobs.run import Run
from config.jobs.time_limit import JOB_SECONDS, time_limit
from movies.models import Movie
from posters import image_server, pipeline, storage

log = logging.getLogger(__name__)

MAX_RUN_SECONDS = 120  # after which a job starts nothing new; a download that hangs takes 85 more
DEBOUNCE_SECONDS = 10


@time_limit(JOB_SECONDS)
def download_posters(limit: int | None = None) -> str:
    """Download waiting posters; enqueues the uploads as soon as the first are on the disk."""
    enqueued_at = time.monotonic() - DEBOUNCE_SECONDS

    def enqueue_uploads(run: Run) -> None:
        nonlocal enqueued_at
        if run.done and time.monotonic() >= enqueued_at + DEBOUNCE_SECONDS:
            enqueued_at = time.monotonic()
            enqueue_debounced("upload_posters")

    with locks.lock("posters.download") as free:
        if not free:
            return locks.ALREADY_RUNNING
        image_server.recheck()
        run = pipeline.download_posters(Run(limit, MAX_RUN_SECONDS, worker_stop_event(), enqueue_uploads))
    if run.done:
        enqueue("upload_posters")
    if _is_unfinished(run, "downloaded") and Movie.objects.awaiting_download().by_priority(1):
        enqueue("download_posters")
    return str(run)


@time_limit(JOB_SECONDS)
def upload_posters(limit: int | None = None) -> str:
    """Upload posters from the disk to the channels, and delete files that no movie needs."""
    with locks.lock("posters.upload") as free:
        if not free:
            return locks.ALREADY_RUNNING
        if deleted := storage.delete_unused_files():
            log.info("%s unused files deleted from POSTER_DIR", deleted)
        run = pipeline.upload_posters(Run(limit, MAX_RUN_SECONDS, worker_stop_event()))
    if _is_unfinished(run, "uploaded") and Movie.objects.awaiting_upload().by_priority(1):
        enqueue("upload_posters")
    return str(run)


def _is_unfinished(run: Run, verb: str) -> bool:
    """Whether time alone ended the run; then the next one starts at once rather than at the next scheduler tick.

    Logs what became of it.
    """
    if summary := run.summary(verb):
        log.info("posters: %s", summary)
    return run.limit is None and not run.errors and run.seconds_left <= 0


def enqueue(task: str) -> None:
    async_task(f"posters.tasks.{task}", save=False)


def enqueue_debounced(task: str) -> None:
    """Enqueue the task at most every DEBOUNCE_SECONDS over all processes."""
    if not rate_limiter.try_acquire(f"enqueue:{task}", 1 / DEBOUNCE_SECONDS):
        enqueue(task)
