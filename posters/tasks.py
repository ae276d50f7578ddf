"""The pipeline's jobs: each finds by itself what waits, may run twice, late or beside itself, and ends in good time."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from config.jobs import locks, rate_limiter
from config.jobs.enqueue import async_task, worker_stop_event
from movies.models import Movie
from posters import pipeline, storage

if TYPE_CHECKING:
    from movies.models import MovieQuerySet
    from posters.pipeline import Run

log = logging.getLogger(__name__)

SECONDS = 200  # after which a job begins nothing new; Q_CLUSTER's timeout is 300
BETWEEN_BELLS = 10  # seconds


def download_posters(limit: None = None) -> str:
    """Fetch posters that wait for download; rings for the uploads as soon as the first are there."""
    rang = time.monotonic() - BETWEEN_BELLS

    def ring_for_uploads(run) -> None:
        nonlocal rang
        if run.done and time.monotonic() >= rang + BETWEEN_BELLS:
            rang = time.monotonic()
            ring("upload_posters")

    with locks.lock("posters.download") as free:
        if not free:
            return locks.ALREADY_RUNNING
        run = pipeline.Run(limit, SECONDS, worker_stop_event(), ring_for_uploads)
        pipeline.download_posters(run)
    if run.done:
        ring("upload_posters", at_once=True)
    return _told("downloads", run, Movie.objects.awaiting_download(), limit)


def upload_posters(limit: None = None) -> str:
    """Put posters from the disk into the channels, and delete files that no film needs any more."""
    with locks.lock("posters.upload") as free:
        if not free:
            return locks.ALREADY_RUNNING
        swept = storage.sweep()
        run = pipeline.upload_posters(pipeline.Run(limit, SECONDS, worker_stop_event()))
    if swept:
        log.info("%s stray files deleted from POSTER_DIR", swept)
    return _told("uploads", run, Movie.objects.awaiting_upload(), limit)


def _told(what: str, run: Run, due: MovieQuerySet, limit: None) -> str:
    """Log the counts; where time alone ended the run, ring for the next at once rather than at the next tick."""
    if run.begun or run.troubles:
        log.info("poster %s: %s", what, run)
    if limit is None and not run.troubles and run.left <= 0 and due.most_needed(1):
        ring("upload_posters" if what == "uploads" else "download_posters", at_once=True)
    return str(run)


def ring(task: str, at_once: bool = False) -> None:
    """Have a job of ours run soon; without `at_once` not more often than every ten seconds over all processes."""
    if at_once or not rate_limiter.try_acquire(f"bell:{task}", 1 / BETWEEN_BELLS):
        async_task(f"posters.tasks.{task}", save=False)
