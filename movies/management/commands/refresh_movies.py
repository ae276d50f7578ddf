from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from config.arguments import require_within
from config.jobs.locks import lock
from config.progress import Progress, stop_on_signals
from movies import details
from movies.models import Movie


class Command(BaseCommand):
    help = "Read the details of films that lack them or were last read three months ago, in the foreground."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--limit", type=int, metavar="N", help="so many films instead of all that are due")

    def handle(self, limit: int | None, **options: object) -> None:
        require_within("--limit", limit)
        stop = stop_on_signals()
        run = details.new_run(limit, None, stop)
        due = Movie.objects.awaiting_details().count() + Movie.objects.with_old_details().count()
        progress = Progress(self.stdout, due if limit is None else min(due, limit))
        run.report = lambda run: progress.show(run.done)
        while not stop.is_set():
            with lock(details.LEASE) as free:
                if free:
                    details.DetailsWorker(run).work()
                    break
            stop.wait(0.5)  # a worker is at it; what it leaves is ours
        if run.done:
            progress.show(run.done, last=True)
        self.stdout.write(f"Films: {run}.")
        if run.failed or run.postponed or run.errors:
            raise CommandError("Not all films could be read; what failed comes again by itself.")
