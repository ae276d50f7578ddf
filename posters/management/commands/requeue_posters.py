from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from movies.models import Movie


class Command(BaseCommand):
    help = "Send posters through the pipeline again: those that failed permanently, or --all, or some movies'."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--all", action="store_true", help="every poster, those in Telegram too")
        which.add_argument("--movie", type=int, nargs="+", metavar="ID", help="the posters of these movies")

    def handle(self, movie: list[int] | None, **options: Any) -> None:
        movies = Movie.objects.all()
        if movie:
            movies = movies.filter(pk__in=movie)
            if missing := set(movie) - set(movies.values_list("pk", flat=True)):
                raise CommandError(f"No such film: {', '.join(map(str, sorted(missing)))}.")
        elif not options["all"]:
            movies = movies.poster_failed()
        self.stdout.write(f"{movies.requeue_posters()} posters queued.")
