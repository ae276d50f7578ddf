"""Which films a search ranks, so that it costs the same among three hundred films and among 300,000.

On PostgreSQL these are candidates: films of just this title, the best known films that hold the words anywhere, and
films that hold them as words or as beginnings of words. Each kind comes from an index and ends at a bound, and none is
looked for once those before it have given enough: a word that a tenth of all titles hold costs no more than a rare one.
On SQLite they are all films that hold the words.
"""

from __future__ import annotations

# ruff: noqa: S608, S611 - what is put together here are constants; what people type goes beside as values
import re
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

if TYPE_CHECKING:
    from django.db.models.query_utils import Q

BEST_KNOWN = 1000  # films, by votes (of the year asked for), in whose titles the words may stand anywhere
ENOUGH = 100  # candidates: twice what a search shows
MOST_ORDERED = 3000  # films with the same words that are put in order by their votes

# What the indexes movies_by_title and movies_by_word hold; neither takes a text of any length.
TITLES = "string_to_array(\"left\"(movies.search_text, 500), '|')"
WORDS = "to_tsvector('simple'::regconfig, \"left\"(movies.search_text, 2000))"


def titled(words: str) -> Q:
    """Films with a title of these words and no others."""
    if connection.vendor == "postgresql":
        # no text but our own is put into the SQL
        return Q(RawSQL(f"{TITLES} @> ARRAY[%s]", [words], BooleanField()))  # nosec
    return Q(search_text=words) | Q(search_text__startswith=f"{words}|") | Q(search_text__endswith=f"|{words}")


def holding(words: str, year: int | None = None) -> Q:
    """Films whose titles hold these words anywhere, in any order; of this year where one is given."""
    found = Q(year=year) if year else Q()
    for word in words.split():
        found &= Q(search_text__contains=word)
    return found


def candidates(words: str, year: int | None = None) -> Q:
    """The films worth ranking for these words, of this year where one is given."""
    if connection.vendor != "postgresql":
        return holding(words, year)
    parts, of_year = words.split(), [("year = %s", year)] if year else []
    anywhere = [("strpos(search_text, %s) > 0", part) for part in parts]
    known, years = select("id, search_text FROM movies", *of_year)
    best_known = f"({known} ORDER BY vote_count DESC LIMIT {BEST_KNOWN}) AS best_known"
    sources = [
        best_of((f"{TITLES} @> ARRAY[%s]", words), *of_year),
        select(f"id FROM {best_known}", *anywhere, values=years),
        best_of((f"{WORDS} @@ plainto_tsquery('simple', %s)", words), *of_year),
    ]
    if all(re.fullmatch(r"\w+", part) for part in parts):
        begun = [(f"{WORDS} @@ to_tsquery('simple', %s)", " & ".join(f"'{part}':*" for part in parts))]
        if len(parts) > 1:  # several words that are a title were typed to their end
            begun.append((f"NOT (SELECT EXISTS (SELECT 1 FROM movies WHERE {TITLES} @> ARRAY[%s]))", words))
        sources.append(best_of(*begun, *of_year))
    # PostgreSQL begins with a part of a UNION ALL only when those before it have not filled the LIMIT
    sql = " UNION ALL ".join(f"({source})" for source, _values in sources)
    values = [value for _source, values in sources for value in values]
    # no text but our own is put into the SQL
    return Q(pk__in=RawSQL(f"SELECT id FROM ({sql}) AS found LIMIT {ENOUGH}", values))  # nosec


def best_of(*conditions: Any):
    """(SQL, values) for the ids of the films with the most votes that meet the conditions."""
    matching, values = select("id, vote_count FROM movies", *conditions)
    best = f"SELECT id FROM ({matching} LIMIT {MOST_ORDERED}) AS matching ORDER BY vote_count DESC, id LIMIT {ENOUGH}"
    return best, values


def select(what, *conditions: Any, values=()):
    """(SQL, values) with these conditions, each a pair of SQL and a value; `values` are those in `what`."""
    where = " AND ".join(sql for sql, _value in conditions) or "true"
    return f"SELECT {what} WHERE {where}", [*values, *(value for _sql, value in conditions)]
