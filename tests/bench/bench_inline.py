"""How long the bot works on an inline query and on a search, on a table of 10,000 films.

    .venv/bin/python -m tests.bench.bench_inline

A database and a sandbox of its own; the sandbox's reading of the answer is in the figures of inline mode.
"""
# ruff: noqa: E402, SIM905

import os
import random
import statistics
import sys
import time
from io import BytesIO

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.conf import settings
from django.core.cache import cache
from django.test.utils import get_runner
from PIL import Image
from telebot import types

from config.bot import client
from config.bot.router import bot
from movies.bot import inline
from movies.catalogue import Ask, find_movies
from movies.models import Movie, PosterStatus, searchable
from ratings.models import Rating
from sandbox.server import Sandbox
from users.models import User

FILMS, RATED, TIMES = 10_000, 500, 40
WORDS = "матрица ночь день город война мир звезда дорога дом лес тень человек король остров".split()
NAMES = "matrix night day city war peace star road house forest shadow man king island".split()


def fill(file_id):
    dice = random.Random(1)
    movies = []
    for id in range(1, FILMS + 1):
        picks = [dice.randrange(len(WORDS)) for _word in range(dice.randint(1, 4))]
        title, original = " ".join(WORDS[n] for n in picks), " ".join(NAMES[n] for n in picks)
        movies.append(
            Movie(
                id=id,
                title=title,
                original_title=original,
                overview="слово " * 60,
                release_date=f"{dice.randint(1920, 2024)}-05-01",
                vote_count=dice.randint(0, 30_000),
                vote_average=dice.uniform(1, 10),
                popularity=dice.uniform(0, 100),
                details_at=1,
                poster_path=f"/{id}.jpg",
                poster_status=PosterStatus.TELEGRAM,
                telegram_file_id=file_id,
                search_text=searchable(title, original),
            )
        )
    Movie.objects.bulk_create(movies, batch_size=500)
    user = User.objects.create(pk=7)
    Rating.objects.bulk_create(
        Rating(user=user, movie_id=n, tmdb_rating=n % 10 + 1, normalized_rating=n % 10 + 1, rated_at=n)
        for n in range(1, RATED + 1)
    )


def measure(title, call):
    call()
    times = []
    for _time in range(TIMES):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    times.sort()
    print(f"{title:34} median {statistics.median(times):6.1f} ms   95% {times[int(TIMES * 0.95)]:6.1f} ms")


def answer(anna, text, offset=""):
    asked = anna.inline(text, offset)
    person = types.User(anna.id, False, "Anna", language_code="ru")
    inline(types.InlineQuery(id=asked.id, from_user=person, query=text, offset=offset))
    assert asked.results is not None


def main():
    runner = get_runner(settings)(verbosity=0, interactive=False)
    old = runner.setup_databases()
    try:
        with Sandbox() as sandbox:
            settings.TELEGRAM_API_URL, settings.TMDB_API_URL = sandbox.telegram_api_url, sandbox.tmdb_api_url
            bot.token = sandbox.telegram_token
            client.patch_telebot()
            bot.user  # noqa: B018  asked once in a process
            anna = sandbox.telegram.person("Anna", id=7)
            anna.send("/start")
            picture = BytesIO()
            Image.new("RGB", (40, 60)).save(picture, "JPEG")
            fill(bot.send_photo(anna.id, picture.getvalue()).photo[-1].file_id)
            print(f"{FILMS} films, {RATED} of them rated; {settings.DATABASES['default']['ENGINE'].split('.')[-1]}")
            for text in ("м", "матрица", "matrix", "ночь город", "звезда 1999", "603", "нет такого фильма", ""):
                measure(f"inline “{text}”", lambda text=text: answer(anna, text))
            measure("inline “матрица”, third page", lambda: answer(anna, "матрица", "40"))
            measure("search “матрица”, in the chat", lambda: find_movies("матрица", 7, Ask.NEVER))
            Movie.objects.update(search_text="")
            started = time.perf_counter()
            find_movies("матрица", 7, Ask.NEVER)
            took = (time.perf_counter() - started) * 1000
            print(f"first search after another program wrote all {FILMS} films: {took:.0f} ms")
    finally:
        cache.clear()
        runner.teardown_databases(old)


if __name__ == "__main__":
    sys.exit(main())
