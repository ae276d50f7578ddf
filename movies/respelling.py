"""How else a title may be written: in one word or several, with a number in digits, in words or in Roman numerals."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

MAX_RESPELLINGS = 24  # of one query, each of which is looked for as a whole title
MAX_SPELLED_WORDS = 8  # of a query that is written otherwise
MIN_SPLIT_LENGTH = 4  # letters of a word that is written as several
MAX_INITIALS = 5  # letters of a word that may be initials: SWAT for S.W.A.T.

# The numbers that titles are written with, from zero on
RUSSIAN_NUMBERS = re.findall(
    r"\w+",
    "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать четырнадцать"
    " пятнадцать шестнадцать семнадцать восемнадцать девятнадцать",
)
ENGLISH_NUMBERS = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen",
)
RUSSIAN_TENS = re.findall(r"\w+", "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто сто")
ENGLISH_TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety hundred")
ROMAN = ["II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]  # from 2 on
RUSSIAN_PARTS = ["вторая", "третья", "четвертая", "пятая", "шестая", "седьмая", "восьмая", "девятая"]  # from 2 on
PART_WORDS = ("часть", "part", "chapter", "глава")

NUMBERS = {
    **{word: value for words in (RUSSIAN_NUMBERS, ENGLISH_NUMBERS) for value, word in enumerate(words)},
    **{word: 20 + 10 * place for words in (RUSSIAN_TENS, ENGLISH_TENS) for place, word in enumerate(words)},
    **{word: place + 2 for place, word in enumerate(RUSSIAN_PARTS)},
    **{word.casefold(): place + 2 for place, word in enumerate(ROMAN)},
    "две": 2,
}
# What is said around a title and is no part of it, normalized
AROUND = "фильм|кино|мультфильм|мультик|смотреть|онлаин|film|movie|watch|online"


def respellings(words: str, known: Container[str]) -> list[str]:
    """Other spellings of normalized words, the likeliest first; `known` are words of titles."""
    parts = words.split()
    if not 0 < len(parts) <= MAX_SPELLED_WORDS:
        return []
    found = (*_without_what_is_around(words), *_with_other_numbers(parts), *_joined(parts), *_split(parts, known))
    return [one for one in dict.fromkeys(found) if one != words][:MAX_RESPELLINGS]


def _without_what_is_around(words: str) -> Iterator[str]:
    """ "матрица" of "фильм матрица" and of "матрица смотреть онлайн"; "tom jerry" of "tom and jerry"."""
    yield re.sub(rf"^(?:(?:{AROUND}) )+|(?: (?:{AROUND}))+$", "", words)
    yield re.sub(" (?:and|и) ", " ", words)


def _with_other_numbers(parts: list[str]) -> Iterator[str]:
    if all(part.isdecimal() for part in parts) and len(parts) < 2:
        return  # 7 is an id and a title, not Seven
    digits = in_digits(" ".join(parts))
    yield digits
    yield re.sub(r"(\d) с половинои\b", r"\1 1 2", digits)
    yield re.sub(r"^(\d+) (?:5|1 2)$", r"\1 с половинои", digits)
    yield re.sub(r"^(\d+) 5$", r"\1 1 2", digits)
    for names in (RUSSIAN_NUMBERS, ENGLISH_NUMBERS):
        yield " ".join(names[int(part)] if is_small(part, len(names)) else part for part in digits.split())
    title, _space, number = digits.rpartition(" ")
    if title and is_small(number, len(ROMAN) + 2) and int(number) > 1:
        place = int(number) - 2
        title = re.sub(rf" (?:{'|'.join(PART_WORDS)})$", "", title)
        yield f"{title} {number}"
        yield f"{title} {ROMAN[place].casefold()}"
        yield f"{title} часть {number}"
        yield f"{title} часть {RUSSIAN_PARTS[place]}"
        for named in (number, ENGLISH_NUMBERS[int(number)], ROMAN[place].casefold()):
            yield f"{title} part {named}"


def in_digits(words: str) -> str:
    """Normalized words with each number in digits: "28 дней спустя" of "двадцать восемь дней спустя"."""
    found: list[str] = []
    tens = 0
    for word in words.split():
        value = NUMBERS.get(word)
        if value is not None and 0 < value < 10 and tens:
            found[-1] = str(tens + value)
        else:
            found.append(word if value is None else str(value))
        tens = value if value is not None and value in range(20, 100) else 0
    return " ".join(found)


def is_small(part: str, limit: int) -> bool:
    return part.isdecimal() and part.isascii() and len(part) < 3 and int(part) < limit


def _joined(parts: list[str]) -> Iterator[str]:
    """ "spiderman 2" of "spider man 2"."""
    for place in range(len(parts) - 1):
        yield " ".join([*parts[:place], parts[place] + parts[place + 1], *parts[place + 2 :]])
    yield "".join(parts)


def _split(parts: list[str], known: Container[str]) -> Iterator[str]:
    """ "spider man 2" of "spiderman 2", "валл и" of "валли", "s w a t" of "swat"."""
    for place, part in enumerate(parts):
        splits = list(_splits(part, known))
        if len(parts) == 1 and len(part) <= MAX_INITIALS:
            splits.append(" ".join(part))
        for split in splits:
            yield " ".join([*parts[:place], split, *parts[place + 1 :]])


def _splits(word: str, known: Container[str]) -> Iterator[str]:
    """The word as two known ones, of which one may be of a letter or two, or as three."""
    for end in range(1, len(word)):
        head, tail = word[:end], word[end:]
        if len(word) < MIN_SPLIT_LENGTH or not (len(head) < 3 or head in known):
            continue
        if tail in known or (len(tail) < 3 and head in known):
            yield f"{head} {tail}"
        elif len(head) > 2 and len(tail) > MIN_SPLIT_LENGTH:
            yield from (f"{head} {rest}" for rest in _pairs(tail, known))


def _pairs(word: str, known: Container[str]) -> Iterator[str]:
    for end in range(3, len(word) - 2):
        if word[:end] in known and word[end:] in known:
            yield f"{word[:end]} {word[end:]}"
