"""Lists of films as the tests read and press them."""

import re

PAGE_SIZE = 8


def film_labels(page):
    """The texts of the buttons that open a film's card, in order."""
    return [button.text for row in page.buttons for button in row if re.match(r"card:\d", button.data or "")]


def film_titles(page):
    """The same without the years and ratings behind the titles."""
    return [re.sub(r"( \d{4})?( · ★[\d.]+)?$", "", label) for label in film_labels(page)]


def shown(message):
    """All that a message shows of films: its text, and in a list the buttons."""
    return " ".join([message.words, *film_labels(message)])


def nth(page, number):
    """The text of the button of the film with this number in the whole list."""
    return film_labels(page)[(number - 1) % PAGE_SIZE]
