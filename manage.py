#!/usr/bin/env python
"""Django's command line: `manage.py help` lists what there is."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.core.management.base import CommandParser
    from django.db import OperationalError, ProgrammingError

    from config.arguments import refuse

    CommandParser.error = refuse  # type: ignore[method-assign, assignment]
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"A setting is wrong. {error}")
    except (OperationalError, ProgrammingError) as error:
        words = str(error).splitlines()[0]
        # SQLite's words, and PostgreSQL's states undefined_table and undefined_column
        older = words.startswith("no such ") or getattr(error.__cause__, "sqlstate", "") in ("42P01", "42703")
        if not older and isinstance(error, ProgrammingError):
            raise
        remedy = " Run `manage.py migrate` first." if older else ""
        sys.exit(f"The database at DATABASE_URL cannot be used: {words}.{remedy}")
