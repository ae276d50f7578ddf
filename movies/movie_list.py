"""A list of movies in the chat: a line and a button for each; pages by editing one message."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypedDict

from django.template.loader import render_to_string

from config.bot.replies import Keyboard, KeyboardButton, keyboard
from movies.cards import display_title, format_rating, truncate
from movies.models import Movie

PAGE_SIZE = 8  # movies
# In UTF-16 code units
MAX_LABEL_LENGTH = 32  # of a title on a button
MAX_LIST_TITLE_LENGTH = 100  # of a title in a list: eight of them, escaped, stay within a message


class MessageContents(TypedDict):
    """The arguments of sendMessage and editMessageText for a list."""

    text: str
    reply_markup: Keyboard


class Line(NamedTuple):
    """A movie in a list, as the template shows it; what is empty is left out."""

    number: int
    movie: Movie
    title: str
    vote: str
    user_rating: str


def movie_list_message(
    heading: str,
    movies: Sequence[Movie],
    page: int,
    total: int,
    page_data: Callable[[int], str],
    asker: int | None = None,
    rows: Sequence[list[KeyboardButton]] = (),
) -> MessageContents:
    """One page of a list of `total` movies.

    `movies` are the page's, `page` counts from 0, `page_data(page)` is the data of a button to another page, `asker`
    the user whose list it is where others see it as well, `rows` are further buttons.
    """
    first = page * PAGE_SIZE
    lines = [
        Line(
            number=first + n,
            movie=movie,
            title=display_title(movie, MAX_LIST_TITLE_LENGTH),
            vote=f"{movie.vote_average:.1f}" if movie.vote_count else "",
            user_rating=format_rating(movie.user_rating) if movie.user_rating else "",
        )
        for n, movie in enumerate(movies, 1)
    ]
    owner = f":{asker}" if asker else ""
    cards: list[list[KeyboardButton]] = [[(button_label(line), f"card:{line.movie.pk}{owner}")] for line in lines]
    arrows: list[KeyboardButton] = [("‹", page_data(page - 1))] if page else []
    if first + PAGE_SIZE < total:
        arrows.append(("›", page_data(page + 1)))
    pages = -(-total // PAGE_SIZE)
    text = render_to_string("movies/list.html", {"heading": heading, "lines": lines, "page": page + 1, "pages": pages})
    buttons = [row for row in (*cards, arrows, *rows) if row]
    return {"text": text.strip(), "reply_markup": keyboard(*buttons)}


def button_label(line: Line) -> str:
    """A movie's button: its number, and what of its title a phone shows on one line."""
    year = f" ({line.movie.year})" if line.movie.year else ""
    return f"{line.number}. {truncate(line.title, MAX_LABEL_LENGTH)}{year}"


def movies_on_page(movies: Sequence[Movie], page: int) -> Sequence[Movie]:
    """The movies of a page, counted from 0; none where the list does not go so far."""
    return movies[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
