"""What PostgreSQL does for the questions people and workers ask: nothing that grows with the tables."""

import psycopg
import pytest
from django.db import connection
from django.db.models.query import QuerySet, RawQuerySet

from movies.catalogue import movie_by_id, movies_by_id_or_title
from movies.models import Movie, PosterStatus
from movies.search import candidates, containing_any
from ratings.chat.lists import ORDERS
from ratings.models import WatchlistEntry
from tests.bench.bench_scale import fill
from users.models import User

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's planner"),
]

USER_ID = 7_000_000_005


def scanned(question):
    """The tables that a question reads from end to end."""
    if isinstance(question, QuerySet):
        plan = question.explain()
    else:
        sql, values = (question.raw_query, question.params) if isinstance(question, RawQuerySet) else (question, None)
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}", values)
            plan = "\n".join(line for (line,) in cursor.fetchall())
    return [line.split("Seq Scan on ")[1].split()[0] for line in plan.splitlines() if "Seq Scan on " in line]


def test_no_question_of_every_day_reads_a_table_from_end_to_end(transactional_db):
    server = connection.settings_dict
    url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**server)
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as own:
        fill(own, ratings=60_000, films=20_000, people=3_000)
        own.execute(
            "INSERT INTO watchlist (telegram_user_id, movie_id, added_at)"
            " SELECT telegram_user_id, movie_id, rated_at FROM user_movie_ratings WHERE movie_id % 2 = 0"
        )
        own.execute("VACUUM ANALYZE")
    questions = {
        "card by a button": movie_by_id(603, USER_ID),
        "card by a number": movies_by_id_or_title(12345, "12345", USER_ID),
        "/rated": Movie.objects.rated_by(USER_ID).order_by(*next(iter(ORDERS.values())).columns)[:8],
        "/watchlist": Movie.objects.filter(watchlist__user_id=USER_ID).order_by("-watchlist__added_at")[:8],
        "films picked three days ago": WatchlistEntry.objects.filter(asked_at=None, picked_at__lte=5),
        "what goes with rated films": (
            "SELECT movie_ids FROM similar_movies WHERE run_id = 1 AND movie_id = ANY('{1,5,99}')"
        ),
        "posters to fetch": (
            Movie.objects.awaiting_download().filter(poster_priority=0).order_by("poster_next_try_at")[:50]
        ),
        "posters to send": Movie.objects.awaiting_upload().filter(poster_priority=0).order_by("poster_next_try_at")[:1],
        "posters of the dead": Movie.objects.claimed(PosterStatus.WAITING, 45),
        "people to import": User.objects.awaiting_import(),
        "a search": Movie.objects.filter(candidates("звездаостров")),
        "a search for a common word": Movie.objects.filter(candidates("ночь")),
        "a search in a year": Movie.objects.filter(candidates("ночь снег", 1999)),
        "the middle of a word": Movie.objects.filter(containing_any([["звездаостров", "звезда*"]])),
        "an update to claim": "SELECT min(update_id) FROM updates WHERE chat = '5' AND state = 0",
        "old updates": "SELECT update_id FROM updates WHERE state = 2 AND received_at < 5 ORDER BY received_at LIMIT 9",
    }
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO updates (update_id, chat, body, received_at, state) SELECT n, '', '', n, 2"
                       " FROM generate_series(1, 20000) AS n")  # fmt: skip
        cursor.execute("ANALYZE updates")
    assert {name: scanned(question) for name, question in questions.items() if scanned(question)} == {}
