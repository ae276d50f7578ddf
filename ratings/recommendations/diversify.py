"""No page full of the parts of one series."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

MOST_OF_A_SERIES = 2  # films of those that close pairs join, on one page
BEGINNING = 2  # words, without an article, that the titles of a series share
ARTICLES = {"the", "a", "an"}
NUMERAL = re.compile(r"\d+|i{1,3}|iv|vi{0,3}|ix|x|part|episode|chapter|vol|volume")  # ends what a series shares
WORD = re.compile(r"\w+")


def varied(films, pairs, count: int, most=MOST_OF_A_SERIES):
    """The first `count` films, no more than `most` of those that close pairs join; never fewer for want of others."""
    group = {film: film for film in films}

    def root(film):
        while group[film] != film:
            film = group[film]
        return film

    for one, other in pairs:
        if one in group and other in group:
            group[root(one)] = root(other)
    taken, first = {}, []
    for film in films:
        if len(first) < count and taken.get(root(film), 0) < most:
            taken[root(film)] = taken.get(root(film), 0) + 1
            first.append(film)
    rest = [film for film in films if film not in set(first)]
    return (first + rest)[:count]


def same_series(titles: dict[int, str]) -> set[tuple[int, int]]:
    """Pairs of the films, {film: original title}, whose titles begin alike, as those of a series do.

    Two films that only look so ("It", "It Follows") are kept apart on a page too, which does no harm.
    """
    beginnings = {film: beginning(title) for film, title in titles.items()}
    return {
        (one, other)
        for (one, first), (other, second) in combinations(beginnings.items(), 2)
        if (words := min(len(first), len(second))) and first[:words] == second[:words]
    }


def beginning(title: str) -> list[Any | str]:
    """Up to BEGINNING words of a title, up to the first numeral: "The Godfather Part II" is godfather."""
    words = WORD.findall(title.lower())
    words = words[words[0] in ARTICLES :] if words else []
    shared = []
    for word in words[:BEGINNING]:
        if shared and NUMERAL.fullmatch(word):
            break
        shared.append(word)
    return shared
