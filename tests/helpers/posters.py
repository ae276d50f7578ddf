"""Films for the tests of the poster pipeline, and what became of them."""

from movies.models import Movie, PosterStatus


def film(sandbox, movie_id, **fields):
    """A film of the sandbox's, waiting for its poster."""
    what = sandbox.tmdb.films[movie_id]
    fields = {"poster_path": what.poster_path, "poster_status": PosterStatus.WAITING, **fields}
    return Movie.objects.create(pk=movie_id, title=what.title_ru or what.title_en, **fields)


def films(sandbox, n, start=1_000_000, **fields):
    return [film(sandbox, movie_id, **fields) for movie_id in sandbox.tmdb.add_films(n, start)]


def statuses():
    return list(Movie.objects.order_by("pk").values_list("poster_status", flat=True))


def left_on_disk(folder):
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def sent(sandbox):
    """The ids of the films whose posters were sent to channels, in order."""
    return [int(call.files["photo"].filename.split(".")[0]) for call in sandbox.telegram.calls_of("sendPhoto")]
