"""The posters on a picture: from THUMBNAIL_DIR, else from Telegram, never from TMDb."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from io import BytesIO

from PIL import Image

from movies.models import Movie
from posters.thumbnails import thumbnail

MAX_WAIT_SECONDS = 8.0  # for the posters of one picture: what has not come by then has its title instead
MAX_THREADS = 4


def poster_images(movies: Sequence[Movie]) -> dict[int, Image.Image]:
    """{movie id: its poster}, of those that are there in time; the movies need no database any more."""
    pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="posters of a picture")
    try:
        futures = {movie.pk: pool.submit(_image, movie) for movie in movies}
        done = wait(futures.values(), MAX_WAIT_SECONDS).done
        images = {movie_id: future.result() for movie_id, future in futures.items() if future in done}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return {movie_id: image for movie_id, image in images.items() if image}


def _image(movie: Movie) -> Image.Image | None:
    content = thumbnail(movie)
    try:
        return Image.open(BytesIO(content)).convert("RGB") if content else None
    except (OSError, ValueError):  # the file was cut when the machine lost its power
        return None
