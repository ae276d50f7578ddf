"""What a user typed to find a movie: an id, an address, a title; and what else the same keys may mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from config.bot.validation import cleaned
from movies.models import normalize_title
from movies.respelling import NUMBERS, PART_WORDS, ROMAN, RUSSIAN_NUMBERS
from movies.tmdb import NotFound

if TYPE_CHECKING:
    from movies.models import Movie

LOCALE = r"(?:[a-z]{2}(?:-[a-z]{2})?/)?"
ADDRESS = re.compile(rf"(?:themoviedb\.org|tmdb\.org|/)/?{LOCALE}movie/(\d+)", re.IGNORECASE)
SERIES_ADDRESS = re.compile(rf"(?:(?:themoviedb|tmdb)\.org/{LOCALE}tv|kinopoisk\.ru/series)/\d", re.IGNORECASE)
IMDB = re.compile(rf"(?:^|imdb\.com/{LOCALE}title/)(tt\d{{5,12}})(?:/?$|[/?\s])", re.IGNORECASE | re.ASCII)
LETTERBOXD = re.compile(r"letterboxd\.com/(?:[\w-]+/)?film/([\w-]+)", re.IGNORECASE)
OTHER_ADDRESS = re.compile(
    r"https?://\S+|(?<!\S)(?:www\.)?(?:(?:hd\.)?kinopoisk\.ru|boxd\.it)(?:/\S*|(?!\S))", re.IGNORECASE
)
TITLE_AND_YEAR = re.compile(r"(?P<title>.*[^\s,.])[\s,.]+\(?(?P<year>(?:18|19|20)\d\d)(?:\s*(?:г\.?|год|года))?\)?")
SMALL_NUMBERS = [word for word, value in NUMBERS.items() if 2 <= value <= 9]
# a number in words is a sequel's where hardly any title ends with it ("The Magnificent Seven")
SEQUEL = re.compile(
    rf"(?P<title>.*?\S)(?:[\s:,.]+(?:{'|'.join(PART_WORDS)})\s+(?P<part>[2-9]|{'|'.join(SMALL_NUMBERS)})"
    rf"|\s+(?P<number>[2-9]|{'|'.join((*ROMAN, *RUSSIAN_NUMBERS[2:6]))}))",
    re.IGNORECASE,
)
FILMS_OF = re.compile(
    r"(?:(?:все\s+)?(?:фильмы|кино|фильмография)"
    r"(?:\s+(?:(?P<together>со?(?:\s+участием)?)|режисс[её]ра|акт[её]ра|актрисы))?"
    r"|(?:all\s+)?(?:films|movies)(?:\s+(?:of|by|with|directed\s+by|starring))?)\s+(?P<person>\D{3,60})",
    re.IGNORECASE,
)
MAX_QUERY_LENGTH = 200  # characters; TMDb's longest title has fewer

LATIN_KEYS = "`qwertyuiop[]asdfghjkl;'zxcvbnm,."
RUSSIAN_KEYS = "ёйцукенгшщзхъфывапролджэячсмитьбю"
TO_RUSSIAN = str.maketrans(LATIN_KEYS, RUSSIAN_KEYS)
TO_LATIN = str.maketrans(RUSSIAN_KEYS, LATIN_KEYS)

# Russian endings of a name in the genitive with those of the nominative: "фильмы Тарковского"
GENITIVE = [
    ("ского", "ский"),
    ("цкого", "цкий"),
    ("ого", "ой"),
    ("ской", "ская"),
    ("вой", "ва"),
    ("ной", "на"),
    ("ии", "ия"),
    ("ая", "ай"),
    ("ея", "ей"),
    ("ия", "ий"),
    ("ря", "рь"),
]
# and in the instrumental: "фильмы с Томом Хэнксом"
INSTRUMENTAL = [
    ("ским", "ский"),
    ("цким", "цкий"),
    ("овым", "ов"),
    ("евым", "ев"),
    ("иным", "ин"),
    ("ыным", "ын"),
    ("ием", "ий"),
    ("еем", "ей"),
    ("рем", "рь"),
    ("ем", ""),
    ("ом", ""),
    ("ской", "ская"),
    ("ией", "ия"),
    ("ой", "а"),
]


class IsSeries(NotFound):
    """What was asked for is a series, not a movie."""


class OtherAddress(NotFound):
    """An address, of Kinopoisk's for example, that does not tell which movie it is about."""


@dataclass(frozen=True)
class Query:
    """What a user typed to find a movie. A number has both an id and a title.

    `people`: what the person may be called whose movies are asked for.
    """

    movie_id: int | None = None
    title: str = ""
    year: int | None = None
    imdb_id: str = ""
    people: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Query:
        """An id or an address of TMDb's, IMDb's or Letterboxd's, a person's films, a title, a title with a year.

        Raises IsSeries and OtherAddress for other addresses.
        """
        text = " ".join(cleaned(text).split())
        if found := ADDRESS.search(text):
            return cls(movie_id=int(found[1][:20]))
        if found := IMDB.search(text):
            return cls(imdb_id=found[1].lower())
        if found := LETTERBOXD.search(text):
            return cls.parse_title(found[1].replace("-", " "))
        if SERIES_ADDRESS.search(text):
            raise IsSeries("an address of a series")
        if OTHER_ADDRESS.search(text):  # a title may stand before it, as an app shares it
            text = OTHER_ADDRESS.sub("", text).strip()
            if not re.search(r"\w", text):
                raise OtherAddress("an address that names no movie")
        text = text[:MAX_QUERY_LENGTH]
        if re.fullmatch(r"[0-9]{1,10}", text):
            return cls(int(text), text)
        if found := FILMS_OF.fullmatch(text):
            person = found["person"].strip()
            base = nominative(person, INSTRUMENTAL if found["together"] else GENITIVE)
            return cls(title=text, people=tuple(dict.fromkeys((base, person))))
        return cls.parse_title(text)

    @classmethod
    def parse_title(cls, text: str) -> Query:
        found = TITLE_AND_YEAR.fullmatch(text)
        if found and int(found["year"]) <= date.today().year + 10:  # Blade Runner 2049 is not a movie of 2049
            return cls(title=found["title"], year=int(found["year"]))
        return cls(title=text)

    @property
    def words(self) -> str:
        return normalize_title(self.title)

    def matches_title(self, movie: Movie) -> bool:
        titles = movie.search_text.split("|")
        return self.words in titles or self.as_title().words in titles

    def begins_title(self, movie: Movie) -> bool:
        begun = (f"{self.words} ", f"the {self.words} ")
        return any(f"{title} ".startswith(begun) for title in movie.search_text.split("|"))

    def as_title(self) -> Query:
        """The same with the year as a part of the title: Wonder Woman 1984."""
        return Query(title=f"{self.title} {self.year}") if self.year else self

    @property
    def series(self) -> Query | None:
        """What a sequel's number follows: "Матрица" of "Матрица 2"."""
        found = SEQUEL.fullmatch(self.title)
        return Query(title=found["title"]) if found and not self.year else None

    @property
    def sequel_number(self) -> int:
        found = SEQUEL.fullmatch(self.title)
        number = (found["part"] or found["number"]).casefold() if found else "2"
        return NUMBERS.get(number) or int(number)

    @property
    def may_be_name(self) -> bool:
        """Whether a person or a series may be called so."""
        return not self.year and bool(re.fullmatch(r"[^\W\d_]{2,}(?:[ .'’:-]+[^\W\d_]+){0,5}\.?", self.title))

    @property
    def in_other_layout(self) -> Query | None:
        """The same keys in the other keyboard layout: "vfnhbwf" as "матрица"."""
        text = self.title.casefold()
        if re.search("[а-яё]", text):
            other = text.translate(TO_LATIN)
        elif re.search("[a-z]", text):
            other = text.translate(TO_RUSSIAN)
        else:
            return None
        return Query(title=other, year=self.year)

    @property
    def is_russian_in_latin_keys(self) -> bool:
        """Whether hardly any vowel is among the letters, while the same keys are good Russian."""
        other = self.in_other_layout
        if not other or re.search("[а-яё]", self.title.casefold()):
            return False
        return _share(self.title.casefold(), "aeiou", "a-z") < 0.2 and _share(other.title, "аеёиоуыэюя", "а-яё") > 0.25


def _share(text: str, vowels: str, letters: str) -> float:
    return len(re.findall(f"[{vowels}]", text)) / max(1, len(re.findall(f"[{letters}]", text)))


def nominative(name: str, endings: Sequence[tuple[str, str]] = GENITIVE) -> str:
    """A Russian name as it is looked up: "Тарковский" of "Тарковского"; any other as it is."""

    def of(word: str) -> str:
        for ending, base in endings:
            if word.casefold().endswith(ending) and len(word) > len(ending) + 1:
                return word[: -len(ending)] + base
        if re.search("[бвгджзклмнпрстфхцчшщ]ы$", word.casefold()):
            return word[:-1] + "а"
        return word[:-1] if re.search("[бвгджзклмнпрстфхцчшщ]а$", word.casefold()) else word

    return " ".join(map(of, name.split()))
