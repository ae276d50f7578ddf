"""evaluate_recommendations DIR --output FILE: recommendations from files, for an evaluation from outside."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from ratings.recommendations import evaluation

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    help = (
        "Read train.csv (user,item,rating 1-10,rated_at) and profiles.csv of a folder into an empty database, train, "
        "and write the 20 movies recommended to each user: of profiles.csv where there is one, else of train.csv."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", metavar="DIR")
        parser.add_argument("--output", required=True, metavar="recs.csv", help="user,item,rank")

    def handle(self, *, folder: str, output: str, **options: Any) -> None:
        self.last_step = ""
        if not connection.introspection.table_names():
            call_command("migrate", verbosity=0)
        try:
            took = evaluation.evaluate(folder, output, self.report)
        except evaluation.NotEmpty:
            raise CommandError(
                "The database is not empty. Name a fresh one: DATABASE_URL=sqlite:////tmp/fresh.sqlite3, then migrate."
            ) from None
        except (evaluation.BadFile, OSError) as error:
            raise CommandError(str(error)) from None
        if not took:
            raise CommandError("There are no users to recommend movies to.")
        p95 = quantiles(took, n=20, method="inclusive")[-1] if len(took) > 1 else took[0]
        self.stdout.write(f"{len(took)} users; {median(took):.1f} ms each in the median, p95 {p95:.1f} ms.")

    def report(self, words: str) -> None:
        """A line for each step, which is what `words` begin with up to a colon."""
        if (step := words.partition(":")[0]) != self.last_step:
            self.last_step = step
            self.stdout.write(words)
