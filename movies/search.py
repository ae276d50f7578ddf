"""Which movies a search ranks, so that it costs the same among three hundred movies and among 300,000.

On PostgreSQL these are candidates: movies of exactly this title, the best known movies that contain the words anywhere,
and movies that contain them as words or as beginnings of words. Each kind comes from an index and has a limit, and none
is read once those before it have given enough: a word that a tenth of all titles contain costs no more than a rare one.
On SQLite they are all movies that contain the words.
"""

# ruff: noqa: S608, S611 - only constants are put into the SQL; what users type is passed as values
import re
from typing import NamedTuple

from django.db import connection
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

MAX_BEST_KNOWN = 1000  # movies, by votes (of the year asked for), whose titles are searched for words in any place
MAX_CANDIDATES = 100  # twice what a search shows
MAX_RANKED = 3000  # movies with the same words that are ordered by their votes

# What the indexes movies_by_title and movies_by_word hold; neither takes a text of any length.
TITLES_SQL = "string_to_array(\"left\"(movies.search_text, 500), '|')"
WORDS_SQL = "to_tsvector('simple'::regconfig, \"left\"(movies.search_text, 2000))"
EXACT_TITLE_SQL = f"{TITLES_SQL} @> ARRAY[%s]"


class Sql(NamedTuple):
    """A statement, or a condition of one, with the values of its placeholders."""

    text: str
    values: list[str | int]


def exact_title(words: str) -> Q:
    """Movies with a title of these words and no others."""
    if connection.vendor == "postgresql":
        # no text but our own is put into the SQL
        return Q(RawSQL(EXACT_TITLE_SQL, [words], BooleanField()))  # nosec
    return Q(search_text=words) | Q(search_text__startswith=f"{words}|") | Q(search_text__endswith=f"|{words}")


def exact_title_sql(words: str) -> Sql:
    """exact_title as a condition, for words without wildcards of LIKE."""
    if connection.vendor == "postgresql":
        return Sql(EXACT_TITLE_SQL, [words])
    condition = "(search_text = %s OR search_text LIKE %s OR search_text LIKE %s)"
    return Sql(condition, [words, f"{words}|%", f"%|{words}"])


def containing(words: str, year: int | None = None) -> Q:
    """Movies whose titles contain these words anywhere, in any order; of this year where one is given."""
    found = Q(year=year) if year else Q()
    for word in words.split():
        found &= Q(search_text__contains=word)
    return found


def candidates(words: str, year: int | None = None) -> Q:
    """The movies worth ranking for these words, of this year where one is given."""
    if connection.vendor != "postgresql":
        return containing(words, year)
    parts, of_year = words.split(), [Sql("year = %s", [year])] if year else []
    known = _select("id, search_text FROM movies", *of_year)
    best_known = f"({known.text} ORDER BY vote_count DESC LIMIT {MAX_BEST_KNOWN}) AS best_known"
    anywhere = _select(f"id FROM {best_known}", *(Sql("strpos(search_text, %s) > 0", [part]) for part in parts))
    sources = [
        _top_matches(Sql(EXACT_TITLE_SQL, [words]), *of_year),
        Sql(anywhere.text, known.values + anywhere.values),
        _top_matches(Sql(f"{WORDS_SQL} @@ plainto_tsquery('simple', %s)", [words]), *of_year),
    ]
    if all(re.fullmatch(r"\w+", part) for part in parts):
        prefixes = " & ".join(f"'{part}':*" for part in parts)
        begun = [Sql(f"{WORDS_SQL} @@ to_tsquery('simple', %s)", [prefixes])]
        if len(parts) > 1:  # several words that are a title were typed to their end
            begun.append(Sql(f"NOT (SELECT EXISTS (SELECT 1 FROM movies WHERE {EXACT_TITLE_SQL}))", [words]))
        sources.append(_top_matches(*begun, *of_year))
    # PostgreSQL begins with a part of a UNION ALL only when those before it have not filled the LIMIT
    union = " UNION ALL ".join(f"({source.text})" for source in sources)
    values = [value for source in sources for value in source.values]
    # no text but our own is put into the SQL
    return Q(pk__in=RawSQL(f"SELECT id FROM ({union}) AS found LIMIT {MAX_CANDIDATES}", values))  # nosec


def _top_matches(*conditions: Sql) -> Sql:
    """The ids of the movies with the most votes that meet the conditions."""
    matching, values = _select("id, vote_count FROM movies", *conditions)
    limited = f"({matching} LIMIT {MAX_RANKED}) AS matching"
    return Sql(f"SELECT id FROM {limited} ORDER BY vote_count DESC, id LIMIT {MAX_CANDIDATES}", values)


def _select(what: str, *conditions: Sql) -> Sql:
    where = " AND ".join(condition.text for condition in conditions) or "true"
    return Sql(f"SELECT {what} WHERE {where}", [value for condition in conditions for value in condition.values])
