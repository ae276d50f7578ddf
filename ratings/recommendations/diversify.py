"""Re-ranking of a list so that no page of it holds more than MAX_ALIKE movies of one series or director."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

MAX_ALIKE = 2  # movies of one series or director on one page
PREFIX_WORDS = 2  # words, without an article, that the titles of a series share
ARTICLES = {"the", "a", "an"}
NUMERAL = re.compile(r"\d+|i{1,3}|iv|vi{0,3}|ix|x|part|episode|chapter|vol|volume")  # ends what a series shares
WORD = re.compile(r"\w+")

Pair = tuple[int, int]  # ids of two movies of one series


def diversify(
    kept: Sequence[int],
    movie_ids: Sequence[int],
    pairs: Iterable[Pair],
    directors: Mapping[int, Sequence[str]],
    count: int,
    page: int,
) -> tuple[list[int], bool]:
    """(`count` of the movies, best first, to follow `kept`; whether each page has variety).

    Of each `page` movies no more than MAX_ALIKE are of one series, a group that `pairs` connect transitively, or by one
    director. Where no others are left, the skipped ones follow.
    """
    root = connected([*kept, *movie_ids], pairs)
    remaining, chosen = list(movie_ids), list[int]()
    is_diverse = True
    while remaining and len(chosen) < count:
        begun = len(kept) + len(chosen)
        alongside = [*kept, *chosen][begun // page * page :]
        taken = Counter(group for movie_id in alongside for group in groups_of(movie_id, root, directors))
        best = next(
            (one for one in remaining if all(taken[group] < MAX_ALIKE for group in groups_of(one, root, directors))),
            None,
        )
        is_diverse = is_diverse and best is not None
        chosen.append(remaining[0] if best is None else best)
        remaining.remove(chosen[-1])
    return chosen, is_diverse


def groups_of(movie_id: int, root: Mapping[int, int], directors: Mapping[int, Sequence[str]]) -> set[int | str]:
    """The series and the directors of a movie."""
    return {root[movie_id], *directors.get(movie_id, ())}


def connected(movie_ids: Iterable[int], pairs: Iterable[Pair]) -> dict[int, int]:
    """{movie id: one of the movies that pairs connect it with}, the same for all of a group."""
    parent = {movie_id: movie_id for movie_id in movie_ids}  # union-find

    def root(movie_id: int) -> int:
        while parent[movie_id] != movie_id:
            movie_id = parent[movie_id]
        return movie_id

    for one, other in pairs:
        if one in parent and other in parent:
            parent[root(one)] = root(other)
    return {movie_id: root(movie_id) for movie_id in parent}


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
