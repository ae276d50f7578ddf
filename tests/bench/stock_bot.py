"""The same card by stock pyTelegramBotAPI and Django's plain ORM, which bench_cards measures ours against.

    python -m tests.bench.stock_bot API_URL TOKEN DATABASE_URL THREADS

Title, original title, facts, own rating, overview and twelve buttons, as a film bot's tutorial would write it.
"""
# ruff: noqa: DJ008

import sys
from html import escape

import django
import environ
import telebot
from django.conf import settings
from django.db import models
from telebot import types

API_URL, TOKEN, DATABASE_URL, THREADS = sys.argv[1:]
settings.configure(DATABASES={"default": environ.Env.db_url_config(DATABASE_URL)}, USE_TZ=True)
django.setup()
telebot.apihelper.API_URL = API_URL + "/bot{0}/{1}"  # type: ignore[assignment]
bot = telebot.TeleBot(TOKEN, num_threads=int(THREADS))


class Film(models.Model):
    title = models.TextField()
    original_title = models.TextField()
    overview = models.TextField()
    release_date = models.DateField()
    runtime = models.IntegerField()
    vote_average = models.FloatField()
    telegram_file_id = models.TextField()

    class Meta:
        app_label, managed, db_table = "stock", False, "movies"


class Mark(models.Model):
    telegram_user_id = models.BigIntegerField(primary_key=True)  # one row is read, and none written
    movie_id = models.BigIntegerField()
    normalized_rating = models.DecimalField(max_digits=3, decimal_places=1)

    class Meta:
        app_label, managed, db_table = "stock", False, "user_movie_ratings"


@bot.message_handler(commands=["movie"])
def card(message):
    film = Film._default_manager.get(pk=int(message.text.split()[1]))
    mark = Mark._default_manager.filter(telegram_user_id=message.from_user.id, movie_id=film.pk).first()
    lines = [f"<b>{escape(film.title)}</b>", f"<i>{escape(film.original_title)}</i>"]
    lines.append(f"{film.release_date:%d.%m.%Y} · {film.runtime} мин · ★ {film.vote_average:.1f}")
    if mark:
        lines.append(f"Ваша оценка: {mark.normalized_rating.normalize():f}")
    caption = "\n".join([*lines, "", escape(film.overview[:700])])
    keyboard = types.InlineKeyboardMarkup(row_width=5)
    keyboard.add(*(types.InlineKeyboardButton(str(n), callback_data=f"rate:{film.pk}:{n}") for n in range(1, 11)))
    similar = types.InlineKeyboardButton("Похожие фильмы", callback_data=f"similar:{film.pk}")
    keyboard.add(similar, types.InlineKeyboardButton("Поделиться", switch_inline_query=str(film.pk)))
    bot.send_photo(message.chat.id, film.telegram_file_id, caption, parse_mode="HTML", reply_markup=keyboard)


bot.infinity_polling(long_polling_timeout=25, timeout=30)
