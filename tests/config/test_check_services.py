"""What check_services says of a PostgreSQL that refuses; the server is the test's own."""

import psycopg
import pytest
from django.db import connection

from tests.helpers.servers import Postgres


@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks a PostgreSQL")
def test_check_services_tells_a_wrong_password_from_a_database_that_is_not_there(start):
    with Postgres() as server:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("CREATE ROLE anna LOGIN PASSWORD 'right'")
            (server.folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
            admin.execute("SELECT pg_reload_conf()")
        there = f"127.0.0.1:{server.port}"
        for address, words in (
            (f"anna:wrong-one@{there}/postgres", 'password authentication failed for user "anna"'),
            (f"anna:right@{there}/nothing", 'database "nothing" does not exist'),
            ("anna:right@nowhere.invalid/postgres", "nowhere.invalid"),
        ):
            check = start("check_services", "--quiet", DATABASE_URL=f"postgres://{address}")
            assert check.wait() == 1
            (line,) = [line for line in check.lines if "DATABASE_URL" in line]
            assert words in line, check.output
            assert "wrong-one" not in check.output
            assert "Traceback" not in check.output
