from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from movies.models import Movie

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    help = "Send posters through the pipeline again: those that failed for good, or --all, or some films'."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--all", action="store_true", help="every poster, those in Telegram too")
        which.add_argument("--movie", type=int, nargs="+", metavar="ID", help="the posters of these films")

    def handle(self, movie: list[int] | None, **options: Any) -> None:
        films = Movie.objects.all()
        if movie:
            films = films.filter(pk__in=movie)
            if missing := set(movie) - set(films.values_list("pk", flat=True)):
                raise CommandError(f"No such film: {', '.join(map(str, sorted(missing)))}.")
        elif not options["all"]:
            films = films.poster_failed()
        self.stdout.write(f"{films.requeue_posters()} posters queued.")
