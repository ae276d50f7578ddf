"""Comparing the titles of a file's row with those of a movie."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from movies.models import Movie, normalize_title

if TYPE_CHECKING:
    from ratings.files.rows import Row

ARTICLE_LAST = re.compile(r"(.+), (the|an?|l[ae]s?|un|une|der|die|das|ein|eine|el|los|il|lo|gli)", re.IGNORECASE)
AND = {"and", "и"}  # what & is read as; it is no letter, so it is gone already


def fold(title: str) -> str:
    """A title as titles are compared: "Fast & Furious" and "Fast and Furious" are one."""
    normalized = normalize_title(title)
    return " ".join(word for word in normalized.split() if word not in AND) or normalized


def reordered(title: str) -> str:
    """The Matrix, for "Matrix, The"."""
    found = ARTICLE_LAST.fullmatch(title)
    return f"{found[2]} {found[1]}" if found else title


def titles_of(row: Row) -> set[str]:
    """The folded titles of a row."""
    return {
        folded
        for title in (row.title, row.original_title)
        for one in (title, reordered(title))
        if (folded := fold(one))
    }


def known_titles(movie: Movie) -> set[str]:
    """The folded titles under which the table, or a row of TMDb's list, knows a movie."""
    return folded_titles(movie.search_text, movie.title, movie.original_title)


def folded_titles(search_text: str, title: str, original_title: str) -> set[str]:
    """The same from the columns; `search_text` is empty where another program has written the movie."""
    return {folded for one in (*search_text.split("|"), title, original_title) if (folded := fold(one))}


def all_titles(answer: Any) -> set[str]:
    """The folded titles in an answer of TMDb.titles(), which is not verified."""
    answer = answer if isinstance(answer, dict) else {}
    texts = [answer.get("title"), answer.get("original_title")]
    for part, key in (("alternative_titles", "titles"), ("translations", "translations")):
        listed = answer.get(part)
        listed = listed.get(key) if isinstance(listed, dict) else None
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict):
                data = one.get("data")
                texts += [one.get("title"), data.get("title") if isinstance(data, dict) else None]
    return {folded for text in texts if isinstance(text, str) and (folded := fold(text[:1000]))}
