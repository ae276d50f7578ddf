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
        "Read train.csv (user,item,rating 1-10,rated_at) and profiles.csv of a folder into an empty database, build, "
        "and write the 20 films recommended to each person: of profiles.csv where there is one, else of train.csv."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", metavar="DIR")
        parser.add_argument("--output", required=True, metavar="recs.csv", help="user,item,rank")

    def handle(self, folder, output, **options: Any) -> None:
        self.said = ""
        if not connection.introspection.table_names():
            call_command("migrate", verbosity=0)  # as empty as a database can be
        try:
            took = evaluation.evaluate(folder, output, self.tell)
        except evaluation.NotEmpty:
            raise CommandError(
                "The database is not empty. Name a fresh one: DATABASE_URL=sqlite:////tmp/fresh.sqlite3, then migrate."
            ) from None
        except (evaluation.BadFile, OSError) as error:
            raise CommandError(str(error)) from None
        if not took:
            raise CommandError("Nobody to recommend films to.")
        late = quantiles(took, n=20, method="inclusive")[-1] if len(took) > 1 else took[0]
        self.stdout.write(f"{len(took)} people; {median(took):.1f} ms each in the middle, {late:.1f} ms for 95 of 100.")

    def tell(self, words: str) -> None:
        if (step := words.partition(":")[0]) != self.said:
            self.said = step
            self.stdout.write(words)
