from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from config.progress import Progress, stop_on_signals
from movies import refresh

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    help = (
        "Read again from TMDb what was read three months ago or more, in the foreground: an hour's share, or N films."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, metavar="N", help="so many instead of an hour's share")

    def handle(self, limit: int | None, **options: Any) -> None:
        total = len(refresh.due_films(limit))
        progress = Progress(self.stdout, total)
        run = refresh.Refresh(stop_on_signals(), report=lambda run: progress.show(run.done))
        refresh.refresh_movies(run, limit)
        if run.done:
            progress.show(run.done, last=True)
        self.stdout.write(f"Films: {run}.")
        if run.failed or run.trouble:
            raise CommandError("Not all films could be read; what failed comes again by itself.")
