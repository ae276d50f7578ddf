"""Where the processes' common state lives: the database, and Redis where REDIS_URL is set."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, connections, transaction

from config.models import Heartbeat

if TYPE_CHECKING:
    from redis import Redis  # an extra


def require_migrations() -> None:
    """Raise CommandError where the database answers and lacks our tables; one that is away is waited for elsewhere."""
    try:
        tables = connection.introspection.table_names()
    except DatabaseError:
        return
    finally:
        connection.close()
    if Heartbeat._meta.db_table not in tables:
        raise CommandError("The database at DATABASE_URL has no tables yet. Run `manage.py migrate` first.")


def give_password_to_libpq() -> None:
    """Move the password of DATABASE_URL to PGPASSWORD, where PostgreSQL's library reads it.

    psycopg would write it into a connection string, which stands in variables that a report of an error shows.
    """
    database = connections.settings["default"]
    if password := database.get("PASSWORD"):
        os.environ["PGPASSWORD"], database["PASSWORD"] = str(password), ""


def switch_pool_off() -> None:
    """Have each process open its own connection: no pool survives the fork of a worker."""
    database = connections.settings["default"]
    if database["OPTIONS"].pop("pool", None):
        database["CONN_MAX_AGE"] = 60


@cache
def database_identity() -> str:
    """What tells this database from a copy of it: PostgreSQL's cluster and database, or the path of SQLite's file."""
    if connection.vendor != "postgresql":
        return os.path.realpath(str(connection.settings_dict["NAME"]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
        cluster = "(SELECT system_identifier FROM pg_control_system())" if cursor.fetchone()[0] else "0"
        cursor.execute(f"SELECT {cluster}, oid FROM pg_database WHERE datname = current_database()")  # noqa: S608
        return "{}/{}".format(*cursor.fetchone())


POSTGRESQL_NOW = "EXTRACT(EPOCH FROM clock_timestamp())::float8"  # the UNIX time in seconds


def now_sql() -> str:
    """SQL for the UNIX time in seconds by the database server's clock: machines need not agree on the time.

    SQLite runs on this machine, so there it is this process's own time.
    """
    if connection.vendor == "postgresql":
        return POSTGRESQL_NOW
    return f"{time.time():.6f}"


@contextmanager
def async_commit_transaction() -> Iterator[None]:
    """A transaction that does not wait for the disk: if the database server crashes, TMDb is asked once more."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
        yield


@cache
def redis_client() -> "Redis":
    """This process's client of Redis; only where REDIS_URL is set."""
    import redis

    return redis.Redis.from_url(settings.REDIS_ADDRESS, **settings.REDIS_OPTIONS, health_check_interval=30)
