"""Whether there is something to work on: a database that `migrate` has been at."""

from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from config.models import Heartbeat


def require_migrations():
    """Raise CommandError where the database answers and has no tables; one that is away is waited for elsewhere."""
    try:
        tables = connection.introspection.table_names()
    except DatabaseError:
        return
    finally:
        connection.close()
    if Heartbeat._meta.db_table not in tables:
        raise CommandError("The database at DATABASE_URL has no tables yet. Run `manage.py migrate` first.")
