"""The words of the titles in memory: which of them a part of a word, or a mistyped word, may stand for.

The words of one length are one text, those of the best known movies first, which a regular expression reads in a few
milliseconds: neither an extension of the database nor an index of trigrams is needed. 170,000 words take 4 MB.
"""

import re
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

from movies.models import Movie

MAX_WORDS = 200_000  # of the best known movies
MIN_LENGTH, MAX_LENGTH = 3, 24  # letters of a word that is kept
ROWS_AT_A_TIME = 20_000
MIN_MISTYPED_LENGTH = 4  # letters; a shorter word with another letter is another word
LONG_WORD_LENGTH = 8  # letters, from which on two mistakes are forgiven
RELOAD_COST = 1 / 600  # of the time, at most, is spent on reading the titles again
QUICK_SECONDS = 0.02  # a small table is read again for every mistyped title, lest a new one be missed
MAX_PAUSE_SECONDS = 0.2  # that a search may wait for the words to be read again


class Vocabulary:
    """Words by their length, best known first."""

    def __init__(self, search_texts: Iterable[str] = ()) -> None:
        words: set[str] = set()
        of_length: dict[int, list[str]] = {}
        for text in search_texts:
            for word in text.replace("|", " ").split():
                if MIN_LENGTH <= len(word) <= MAX_LENGTH and word not in words:
                    words.add(word)
                    of_length.setdefault(len(word), []).append(word)
            if len(words) >= MAX_WORDS:
                break
        lengths = range(MIN_LENGTH, MAX_LENGTH + 1)  # each has its text, since threads read while words are added
        self.texts = {length: "\n".join(of_length.get(length, ())) for length in lengths}

    def add(self, search_texts: Iterable[str]) -> None:
        """Take in the words of movies that have come since, as lesser known ones."""
        for word in {word for text in search_texts for word in text.replace("|", " ").split()}:
            if MIN_LENGTH <= len(word) <= MAX_LENGTH and word not in self:
                text = self.texts[len(word)]
                self.texts[len(word)] = f"{text}\n{word}" if text else word

    def __contains__(self, word: object) -> bool:
        if not isinstance(word, str):
            return False
        text, step = self.texts.get(len(word), ""), len(word) + 1
        place = text.find(word)
        while place > 0 and place % step:
            place = text.find(word, place + 1)
        return place >= 0

    def containing(self, part: str, limit: int) -> list[str]:
        """Words that hold this part, the shortest first."""
        pattern = re.compile(rf"^.*{re.escape(part)}.*$", re.MULTILINE)
        found: list[str] = []
        for length, text in self.texts.items():
            if length >= len(part) and part in text and len(found) < limit:
                found += pattern.findall(text)
        return found[:limit]

    def near(self, word: str, limit: int) -> dict[str, int]:
        """Words that this one may be a misspelling of, with the number of mistakes; the fewest mistakes first."""
        if not MIN_MISTYPED_LENGTH <= len(word) <= MAX_LENGTH:
            return {}
        mistakes = 1 if len(word) < LONG_WORD_LENGTH else 2
        pattern = _sharing_a_part(word, mistakes)
        found: dict[str, int] = {}
        for length in range(len(word) - mistakes, len(word) + mistakes + 1):
            for other in pattern.findall(self.texts.get(length, "")):
                if other != word and (distance := edit_distance(word, other)) <= mistakes:
                    found[other] = distance
        return dict(sorted(found.items(), key=lambda item: item[1])[:limit])


def _sharing_a_part(word: str, mistakes: int) -> re.Pattern[str]:
    """Cut in one part more than there are mistakes, a misspelled word has one part right, near its place."""
    ends = [len(word) * part // (mistakes + 1) for part in range(mistakes + 2)]
    parts = []
    for start, end in pairwise(ends):
        before = f".{{{max(0, start - mistakes)},{start + mistakes}}}" if start else ""
        parts.append(before + re.escape(word[start:end]) + (".*" if end < len(word) else ""))
    return re.compile(f"^(?:{'|'.join(parts)})$", re.MULTILINE)


def edit_distance(one: str, other: str) -> int:
    """Letters to insert, delete, replace, or swap with their neighbour (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        new = [i]
        for j, wanted in enumerate(other, 1):
            cost = min(row[j] + 1, new[-1] + 1, row[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            new.append(cost)
        before, row = row, new
    return row[-1]


def _search_texts() -> Iterator[str]:
    """The titles of all movies, best known first, a part at a time: a whole result would take 50 MB for a moment."""
    movies = Movie.objects.order_by("-vote_count", "-pk").values_list("vote_count", "pk", "search_text")
    rest = movies
    while rows := list(rest[:ROWS_AT_A_TIME]):
        yield from (text for _votes, _id, text in rows)
        votes, last, _text = rows[-1]
        rest = movies.filter(vote_count__lte=votes).exclude(vote_count=votes, pk__gte=last)


class _Cached:
    """This process's vocabulary; read again now and then, in a thread where that takes long."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.words: Vocabulary | None = None
        self.valid_until = self.seconds = 0.0

    def get(self) -> Vocabulary:
        words = self.words
        if words and time.monotonic() < self.valid_until:
            return words
        if words and self.seconds > MAX_PAUSE_SECONDS:
            if self.lock.acquire(blocking=False):
                threading.Thread(target=self._read_in_thread, daemon=True, name="vocabulary").start()
            return words
        with self.lock:
            return self._read()

    def _read(self) -> Vocabulary:
        began = time.monotonic()
        self.words = words = Vocabulary(_search_texts())
        self.seconds = time.monotonic() - began
        self.valid_until = time.monotonic() + self.seconds / RELOAD_COST
        return words

    def _read_in_thread(self) -> None:
        from django.db import connection

        try:
            self._read()
        finally:
            connection.close()
            self.lock.release()

    def add(self, search_texts: Iterable[str]) -> None:
        """Know the words of movies that this process has just saved; the other processes' come when all are read."""
        if words := self.words:
            words.add(search_texts)

    def clear(self) -> None:
        self.words = None


cached = _Cached()


def vocabulary(newest: bool = False) -> Vocabulary:
    """The words of the titles; `newest`: read again where that is quick, since they may be some seconds old."""
    if newest and cached.seconds <= QUICK_SECONDS:
        cached.valid_until = 0.0
    return cached.get()
