from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.arguments import require_within
from config.jobs import locks
from config.jobs.enqueue import StopEvent
from config.jobs.run import Run
from config.progress import Progress, stop_on_signals
from movies.models import Movie
from posters.pipeline import download_posters


class Command(BaseCommand):
    help = "Download waiting posters, in the foreground. SIGTERM finishes those in progress."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, metavar="N", help="no more than so many")

    def handle(self, limit: int | None, **options: Any) -> None:
        require_within("--limit", limit)
        stop = stop_on_signals()
        while not stop.is_set():
            with locks.lock("posters.download") as free:  # one at a time: TMDb counts connections
                if free:
                    return self.download(limit, stop)
            self.stdout.write("Another worker is at it; waiting for it to end.")
            stop.wait(5)

    def download(self, limit: int | None, stop: StopEvent) -> None:
        waiting = Movie.objects.awaiting_download().count()
        progress = Progress(self.stdout, waiting if limit is None else min(limit, waiting))
        run = Run(limit, stop=stop, report=lambda run: progress.show(run.done + run.not_found + run.failed))
        download_posters(run)
        if run.done or run.not_found or run.failed:
            progress.show(run.done + run.not_found + run.failed, last=True)
        self.stdout.write(f"Downloads: {run}.")
        if run.failed or run.errors:
            raise CommandError("Not all posters could be downloaded; what failed comes again by itself.")
