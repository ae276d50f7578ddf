from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from config.progress import Progress, stop_on_signals
from movies.models import Movie
from posters import pipeline, storage

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    help = "Put the posters that lie on the disk into the channels, in the foreground. SIGTERM finishes those at hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, metavar="N", help="no more than so many")

    def handle(self, limit: int, **options: Any) -> None:
        stop = stop_on_signals()
        if swept := storage.sweep():
            self.stdout.write(f"{swept} stray files deleted.")
        waiting = Movie.objects.awaiting_upload().count()
        progress = Progress(self.stdout, waiting if limit is None else min(limit, waiting))
        run = pipeline.Run(limit, stop=stop, report=lambda run: progress.show(run.done + run.failed))
        pipeline.upload_posters(run)
        if run.done or run.failed:
            progress.show(run.done + run.failed, last=True)
        self.stdout.write(f"Uploads: {run}.")
        if run.failed or run.troubles:
            raise CommandError("Not all posters could be uploaded; what failed comes again by itself.")
