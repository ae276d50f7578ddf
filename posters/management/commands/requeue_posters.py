from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.arguments import require_within
from config.progress import format_duration
from movies.models import Movie, MovieQuerySet, PosterPriority, upload_seconds
from movies.parsing import MAX_MOVIE_ID


class Command(BaseCommand):
    help = "Send posters through the pipeline again: those that failed permanently, or --all, or some movies'."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--all", action="store_true", help="every poster, those in Telegram too")
        which.add_argument("--movie", type=int, nargs="+", metavar="ID", help="the posters of these movies")
        parser.add_argument("--no-input", dest="interactive", action="store_false", help="do not ask before --all")

    def handle(self, movie: list[int] | None, interactive: bool = True, **options: Any) -> None:
        movies = Movie.objects.all()
        if movie:
            for movie_id in movie:
                require_within("--movie", movie_id, 1, MAX_MOVIE_ID)
            movies = movies.filter(pk__in=movie)
            if missing := set(movie) - set(movies.values_list("pk", flat=True)):
                raise CommandError(f"No such film: {', '.join(map(str, sorted(missing)))}.")
        elif not options["all"]:
            movies = movies.poster_failed()
        elif interactive and self._called_from_command_line:  # type: ignore[attr-defined]  # not by call_command
            self.ask(movies)
        self.stdout.write(f"{movies.requeue_posters(PosterPriority.ASKED if movie else None)} posters queued.")

    def ask(self, movies: MovieQuerySet) -> None:
        """Raise CommandError unless the operator wants all of these uploaded once more."""
        count = movies.filter(poster_path__gt="").count()
        duration = format_duration(upload_seconds(count))
        self.stdout.write(f"This uploads {count} posters to the channels again, which takes about {duration}.")
        try:
            answer = input("Type 'yes' to go on: ")
        except EOFError:
            raise CommandError("There was no answer: nothing is queued. --no-input goes on without asking.") from None
        if answer.strip().lower() not in ("yes", "y"):
            raise CommandError("Nothing is queued.")
