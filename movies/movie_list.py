"""A list of films in the chat: a line and a button for each, pages by editing one message."""

from django.template.loader import render_to_string

from config.bot.replies import keyboard
from movies.cards import name, points, shortened

PAGE = 8  # films on a page
LONGEST_LABEL = 32  # of a title on a button
LONGEST_NAME = 100  # of a title in a list: eight of them, escaped, stay within a message


def film_list(heading, movies, page, total, turn, asker=None, rows=()):
    """Text and keyboard of one page of a list.

    `movies` are the page's films, `turn(page)` is the data of a button to another page, `asker` the person whose list
    it is where others see it too, `rows` further buttons.
    """
    first = page * PAGE
    lines = [
        {
            "number": first + n,
            "movie": movie,
            "title": name(movie, LONGEST_NAME),
            "vote": f"{movie.vote_average:.1f}" if movie.vote_count else "",
            "mine": movie.mine and points(movie.mine),
        }
        for n, movie in enumerate(movies, 1)
    ]
    owner = f":{asker}" if asker else ""
    films = [[(label(line), f"card:{line['movie'].pk}{owner}")] for line in lines]
    turns = [("‹", turn(page - 1))] if page else []
    if first + PAGE < total:
        turns.append(("›", turn(page + 1)))
    pages = -(-total // PAGE)
    text = render_to_string("movies/list.html", {"heading": heading, "lines": lines, "page": page + 1, "pages": pages})
    buttons = [row for row in (*films, turns, *rows) if row]
    return {"text": text.strip(), "reply_markup": keyboard(*buttons)}


def label(line):
    """A film's button: its number, and what of its title a phone shows on one line."""
    year = f" ({line['movie'].year})" if line["movie"].year else ""
    return f"{line['number']}. {shortened(line['title'], LONGEST_LABEL)}{year}"


def page_of(movies, page):
    """The films of a page, counted from 0; none where the list does not go so far."""
    return movies[page * PAGE : (page + 1) * PAGE]
