"""A list of movies in the chat: a heading and a button for each movie; pages by editing one message."""

from collections.abc import Callable, Sequence
from datetime import date
from html import escape
from typing import TypedDict

from django.utils.translation import get_language

from config.bot.replies import Keyboard, KeyboardButton, keyboard
from movies.cards import display_title, format_day, format_rating
from movies.models import Movie

PAGE_SIZE = 8  # movies
MAX_LABEL_LENGTH = 36  # UTF-16 code units of a title on a button


class MessageContents(TypedDict):
    """The arguments of sendMessage and editMessageText for a list."""

    text: str
    reply_markup: Keyboard


def movie_list_message(
    heading: str,
    movies: Sequence[Movie],
    page: int,
    total: int,
    page_data: Callable[[int], str],
    asker: int | None = None,
    rows: Sequence[list[KeyboardButton]] = (),
    card_data: Callable[[int], str] | None = None,
    marks: bool = False,
) -> MessageContents:
    """One page of a list of `total` movies.

    `movies` are the page's, `page` counts from 0, `page_data(page)` is the data of a button to another page, `asker`
    the user whose list it is where others see it as well, `rows` are further buttons, `card_data(movie id)` is the data
    of a movie's button where it is not its card alone that opens. `marks`: a 🔖 for each, by number: the movies are on
    the reader's list of films to see.
    """
    owner = f":{asker}" if asker else ""
    card_data = card_data or (lambda movie_id: f"card:{movie_id}{owner}")
    cards: list[list[KeyboardButton]] = [
        [(f"{number}. " * marks + button_label(movie), card_data(movie.pk))] for number, movie in enumerate(movies, 1)
    ]
    if marks:
        row: list[KeyboardButton] = [
            (numbered_mark(number, True), f"watch:{movie.pk}:0") for number, movie in enumerate(movies, 1)
        ]
        cards += [row[: PAGE_SIZE // 2], row[PAGE_SIZE // 2 :]]
    arrows: list[KeyboardButton] = [("‹", page_data(page - 1))] if page else []
    if (page + 1) * PAGE_SIZE < total:
        arrows.append(("›", page_data(page + 1)))
    pages = -(-total // PAGE_SIZE)
    text = escape(heading) + (f" ({page + 1}/{pages})" if pages > 1 else "")
    return {"text": text, "reply_markup": keyboard(*(row for row in (*cards, arrows, *rows) if row))}


def numbered_mark(number: int | str, wanted: bool) -> str:
    """The 🔖 of a movie in a list: it takes the movie off the reader's list, or puts it on again."""
    return f"🔖 {number} ✕" if wanted else f"🔖 {number}"


def button_label(movie: Movie) -> str:
    """What a phone shows of a movie on one line: its title, its year or the day it comes out, the reader's rating."""
    year = f" {movie.year}" if movie.year else ""
    if movie.release_date and movie.release_date > date.today():
        year = f" · {format_day(movie.release_date, get_language())}{year}"
    rating = f" · ★{format_rating(movie.user_rating)}" if movie.user_rating else ""
    return f"{display_title(movie, MAX_LABEL_LENGTH)}{year}{rating}"


def movies_on_page(movies: Sequence[Movie], page: int) -> Sequence[Movie]:
    """The movies of a page, counted from 0; none where the list does not go so far."""
    return movies[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
