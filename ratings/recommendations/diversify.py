"""Re-ranking of a page so that it holds at most MAX_PER_SERIES movies of one series."""

import re
from collections.abc import Iterable, Sequence
from itertools import combinations

MAX_PER_SERIES = 2  # movies on one page of a group that pairs connect
PREFIX_WORDS = 2  # words, without an article, that the titles of a series share
ARTICLES = {"the", "a", "an"}
NUMERAL = re.compile(r"\d+|i{1,3}|iv|vi{0,3}|ix|x|part|episode|chapter|vol|volume")  # ends what a series shares
WORD = re.compile(r"\w+")

Pair = tuple[int, int]  # ids of two movies of one series


def diversify(movie_ids: Sequence[int], pairs: Iterable[Pair], count: int) -> list[int]:
    """The first `count` movies with at most MAX_PER_SERIES of a group that `pairs` connect, transitively.

    Where that leaves fewer than `count`, the skipped ones follow.
    """
    parent = {movie_id: movie_id for movie_id in movie_ids}  # union-find

    def root(movie_id: int) -> int:
        while parent[movie_id] != movie_id:
            movie_id = parent[movie_id]
        return movie_id

    for one, other in pairs:
        if one in parent and other in parent:
            parent[root(one)] = root(other)
    taken: dict[int, int] = {}
    chosen: list[int] = []
    for movie_id in movie_ids:
        if len(chosen) < count and taken.get(root(movie_id), 0) < MAX_PER_SERIES:
            taken[root(movie_id)] = taken.get(root(movie_id), 0) + 1
            chosen.append(movie_id)
    skipped = [movie_id for movie_id in movie_ids if movie_id not in set(chosen)]
    return (chosen + skipped)[:count]


def same_series(titles: dict[int, str]) -> set[Pair]:
    """Pairs of the movies, {id: original title}, whose titles have a prefix in common, as those of a series do.

    Two movies that only look so ("It", "It Follows") are separated too, which does no harm.
    """
    prefixes = {movie_id: title_prefix(title) for movie_id, title in titles.items()}
    return {
        (one, other)
        for (one, first), (other, second) in combinations(prefixes.items(), 2)
        if (words := min(len(first), len(second))) and first[:words] == second[:words]
    }


def title_prefix(title: str) -> list[str]:
    """Up to PREFIX_WORDS words of a title, up to the first numeral: "The Godfather Part II" gives godfather."""
    words = WORD.findall(title.lower())
    words = words[words[0] in ARTICLES :] if words else []
    prefix: list[str] = []
    for word in words[:PREFIX_WORDS]:
        if prefix and NUMERAL.fullmatch(word):
            break
        prefix.append(word)
    return prefix
