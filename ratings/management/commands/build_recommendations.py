"""build_recommendations: one training run, in the foreground or as the process that a worker starts."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from config.progress import format_duration, stop_on_signals
from ratings.models import TrainingRun
from ratings.recommendations import training_process

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from ratings.recommendations.movielens import Archive

MAX_STOP_SECONDS = 8  # after SIGTERM, for the step at hand
STOPPED_STATUS = 130  # of the process, as a shell gives it
STOPPED = "stopped"  # TrainingRun.error, as in ratings.recommendations.training, which loads numpy
LICENCE = (
    "Learning from a MovieLens archive too. Its licence (README in the archive) allows research and no commercial "
    "use without GroupLens' permission; none of its users is written to the tables."
)


def end_soon(stop: threading.Event) -> None:
    """End the process where a step of the training does not notice `stop` in time: nothing is switched over yet."""
    stop.wait()
    time.sleep(MAX_STOP_SECONDS)
    with suppress(DatabaseError):
        TrainingRun.objects.filter(finished_at=None, error="").update(error=STOPPED)
    os._exit(STOPPED_STATUS)


class Command(BaseCommand):
    help = "Learn from all ratings which movies go together, for /recommend; the current model serves until the end."

    def add_arguments(self, parser: CommandParser) -> None:
        archive = parser.add_mutually_exclusive_group()
        archive.add_argument(
            "--movielens",
            metavar="PATH",
            help="learn from this MovieLens archive too, a folder or a zip with ratings.csv and links.csv, tonight and "
            "every night; its licence is non-commercial",
        )
        archive.add_argument("--without-movielens", action="store_true", help="no longer learn from an archive")
        parser.add_argument("--force", action="store_true", help="however little has changed")
        parser.add_argument(
            "--asked-by",
            dest="triggered_by",
            default=training_process.TRIGGERED_BY_COMMAND,
            metavar="NAME",
            help="shown in the admin's list of runs",
        )

    def handle(
        self,
        *,
        movielens: str | None = None,
        without_movielens: bool = False,
        force: bool = False,
        triggered_by: str = "",
        **options: Any,
    ) -> None:
        if movielens is not None and not movielens.strip():
            raise CommandError("--movielens wants a path; to learn from no archive any more, say --without-movielens.")
        from ratings.recommendations.movielens import ArchiveError
        from ratings.recommendations.training import AlreadyRunning, Stopped, train  # loads numpy, as no other process

        stop, self.last_step = stop_on_signals(), ""
        threading.Thread(target=end_soon, args=(stop,), daemon=True).start()
        current = TrainingRun.objects.current()
        path = movielens or (current.archive if current and not without_movielens else "")
        try:
            archive = self.open_archive(path, triggered_by) if path else None
            if archive:
                self.stdout.write(LICENCE)
            run = train(archive, force, self.report, stop, triggered_by)
        except (ArchiveError, ArithmeticError) as error:
            raise CommandError(f"{error}. The neighbours stay as they were.") from None
        except AlreadyRunning:
            raise CommandError("Another process is training.") from None
        except Stopped:
            raise CommandError("Stopped. The neighbours stay as they were.", returncode=STOPPED_STATUS) from None
        if run is None:
            self.stdout.write("Little has changed since the last run, so nothing is to be done; --force trains anyway.")
        else:
            self.summarize(run, archive)

    def summarize(self, run: TrainingRun, archive: Archive | None) -> None:
        if archive and archive.unknown:
            self.stdout.write(f"{archive.unknown} ratings of movies without a TMDb id were left out.")
        self.stdout.write(
            f"{run.neighbours} neighbours of {run.movies} movies, from {run.ratings} ratings of {run.users} users"
            + (f" and {run.archive_ratings} of {run.archive_users} in the archive" if archive else "")
            + f", in {format_duration((run.finished_at or run.started_at) - run.started_at)}."
        )

    def open_archive(self, path: str, triggered_by: str) -> Archive:
        """The archive; a failure to open it is recorded as a run, since by night the output is not read.

        Raises ArchiveError.
        """
        from ratings.recommendations.movielens import Archive, ArchiveError

        try:
            return Archive(path)
        except ArchiveError as error:
            TrainingRun.objects.create(
                started_at=int(time.time()), archive=path, triggered_by=triggered_by, error=str(error)
            )
            raise

    def report(self, words: str) -> None:
        """A line for each step; on a terminal the last line changes in place."""
        if self.stdout.isatty():
            self.stdout.write(f"\r{words}\x1b[K", ending="")
            self.stdout.flush()
        elif (step := words.partition(":")[0]) != self.last_step:
            self.last_step = step
            self.stdout.write(words)
