from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.arguments import require_within
from config.jobs.run import Run
from config.progress import Progress, stop_on_signals
from movies.models import Movie
from posters import storage
from posters.pipeline import upload_posters


class Command(BaseCommand):
    help = "Upload posters from the disk to the channels, in the foreground. SIGTERM finishes those in progress."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, metavar="N", help="no more than so many")

    def handle(self, limit: int | None, **options: Any) -> None:
        require_within("--limit", limit)
        stop = stop_on_signals()
        if deleted := storage.delete_unused_files():
            self.stdout.write(f"{deleted} unused files deleted.")
        waiting = Movie.objects.awaiting_upload().count()
        progress = Progress(self.stdout, waiting if limit is None else min(limit, waiting))
        run = Run(limit, stop=stop, report=lambda run: progress.show(run.done + run.failed))
        upload_posters(run)
        if run.done or run.failed:
            progress.show(run.done + run.failed, last=True)
        self.stdout.write(f"Uploads: {run}.")
        if run.failed or run.errors:
            raise CommandError("Not all posters could be uploaded; what failed comes again by itself.")
