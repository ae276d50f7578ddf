from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from config.progress import format_duration, stop_on_signals
from ratings.models import Build
from ratings.recommendations import training_process

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

LICENCE = (
    "Learning from a MovieLens archive besides. Its licence (README in the archive) allows research and no commercial "
    "use without GroupLens' permission; nobody from it is written into the tables."
)


class Command(BaseCommand):
    help = "Learn from everybody's ratings which films go together, for /recommend; the old table serves until the end."

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
            default=training_process.COMMAND_LINE,
            metavar="NAME",
            help="who is to stand in the list of builds",
        )

    def handle(
        self, movielens=None, without_movielens: bool = False, force: bool = False, asked_by: str = "", **options: Any
    ) -> None:
        if movielens is not None and not movielens.strip():
            raise CommandError("--movielens wants a path; to learn from no archive any more, say --without-movielens.")
        from ratings.recommendations.movielens import ArchiveError
        from ratings.recommendations.training import Busy, Stopped, build  # loads numpy, which no other process does

        stop, self.said = stop_on_signals(), ""
        current = Build.objects.current()
        path = movielens or (current.archive if current and not without_movielens else "")
        try:
            archive = self.opened(path, asked_by) if path else None
            if archive:
                self.stdout.write(LICENCE)
            run = build(archive, force, self.tell, stop, asked_by)
        except ArchiveError as error:
            raise CommandError(f"{error}. The neighbours stay as they were.") from None
        except ArithmeticError as error:
            raise CommandError(f"{error}. The neighbours stay as they were.") from None
        except Busy:
            raise CommandError("Another process is building.") from None
        except Stopped:
            raise CommandError("Stopped. The neighbours stay as they were.", returncode=130) from None
        if run is None:
            self.stdout.write(
                "Little has changed since the last build, so nothing is to be done; --force builds anyway."
            )
            return
        if archive and archive.unknown:
            self.stdout.write(f"{archive.unknown} ratings of films without a TMDb id were left out.")
        self.stdout.write(
            f"{run.neighbours} neighbours of {run.films} films, from {run.ratings} ratings of {run.people} people"
            + (f" and {run.archive_ratings} of {run.archive_people} in the archive" if archive else "")
            + f", in {format_duration(run.finished_at - run.started_at)}."
        )

    def opened(self, path, asked_by):
        """The archive; one that cannot be opened stands in the list of builds, since by night nobody looks on."""
        from ratings.recommendations.movielens import Archive, ArchiveError

        try:
            return Archive(path)
        except ArchiveError as error:
            Build.objects.create(started_at=int(time.time()), archive=path, asked_by=asked_by, error=str(error))
            raise

    def tell(self, words: str) -> None:
        """A line for each step; on a terminal the last line changes in place."""
        if self.stdout.isatty():
            self.stdout.write(f"\r{words}\x1b[K", ending="")
            self.stdout.flush()
        elif (step := words.partition(":")[0]) != self.said:
            self.said = step
            self.stdout.write(words)
