"""PgBouncer in transaction mode, where each transaction may meet another connection to PostgreSQL."""

import os
import shutil

import psycopg
import pytest
from django.db import connection, connections
from django_q.models import OrmQ

from tests.helpers.servers import PgBouncer
from tests.helpers.waiting import wait_until
from users.models import User

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="asks a PostgreSQL"),
]


@pytest.fixture
def bouncer():
    if not shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin") and not os.environ.get("CI"):
        pytest.skip("no PgBouncer on this machine: apt-get install pgbouncer")
    with PgBouncer(connections["default"].settings_dict) as server:
        yield server


@pytest.fixture
def through(bouncer, monkeypatch):
    """This test's own connection goes through PgBouncer."""
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", bouncer.port)
    yield
    connection.close()


def test_rows_that_are_read_one_by_one_come_although_the_connection_changes(through, bouncer):
    OrmQ.objects.bulk_create(OrmQ(key="x", payload=str(number)) for number in range(5))
    rows = OrmQ.objects.order_by("id").iterator(chunk_size=1)
    first = next(rows)
    with psycopg.connect(bouncer.url) as another:
        another.execute("SELECT 1")  # takes the connection that has been used
        assert [first.payload, *(row.payload for row in rows)] == list("01234")


def test_a_query_that_is_repeated_is_not_prepared_on_one_connection(through, bouncer):
    for count in range(12):
        with psycopg.connect(bouncer.url) as another:
            if count % 2:
                another.execute("SELECT 1")
            assert User.objects.filter(pk=count).first() is None


def test_a_bot_and_its_jobs_work_through_it(start, bouncer, sandbox):
    through = {"DATABASE_URL": bouncer.url, "BOT_THREADS": "8"}
    check = start("check_services", **through)
    assert check.wait() == 0, check.output
    assert start("migrate", **through).wait() == 0
    bot, worker = start("runbot", **through, DATABASE_POOL="4"), start("qcluster", **through)
    anna = sandbox.telegram.person("Anna", language_code="en")
    for text in ("/start", "/rate 603 8", "/rated", "/forget"):
        asked = anna.send(text)
        answer = anna.wait(after=asked)
        assert "went wrong" not in (answer.text or ""), bot.output
    anna.press(answer, text="Delete everything")
    wait_until(lambda: not User.objects.filter(pk=anna.id).exists(), 60, lambda: bot.output)
    for process in (bot, worker):
        assert process.terminate() == 0
        assert "Traceback" not in process.output
