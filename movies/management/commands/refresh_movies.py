from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from config.arguments import require_within
from config.progress import Progress, stop_on_signals
from movies import refresh


class Command(BaseCommand):
    help = (
        "Read again from TMDb what was read three months ago or more, in the foreground: an hour's share, or N films."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--limit", type=int, metavar="N", help="so many instead of an hour's share")

    def handle(self, limit: int | None, **options: object) -> None:
        require_within("--limit", limit)
        due = refresh.due_movies(limit)
        progress = Progress(self.stdout, len(due))
        run = refresh.Refresh(stop_on_signals(), report=lambda run: progress.show(run.done)).run(due)
        if run.done:
            progress.show(run.done, last=True)
        self.stdout.write(f"Films: {run}.")
        if run.failed or run.error:
            raise CommandError("Not all films could be read; what failed comes again by itself.")
