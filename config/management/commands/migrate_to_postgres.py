import contextlib
import re
import warnings
from pathlib import Path
from typing import Any

import environ
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import DatabaseError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Field, Model

from config.monitoring.logs import format_error
from config.monitoring.secret import Secret

BATCH_ROWS = 5000  # read into memory
# Tables that `migrate` fills in a new database; the source's rows replace theirs, with their own ids.
MADE_BY_MIGRATE = (
    "contenttypes.contenttype",
    "auth.permission",
    "auth.group",
    "auth.group_permissions",
    "django_q.schedule",
)


class Command(BaseCommand):
    help = "Carry an installation from SQLite over to a new PostgreSQL database; nothing of ours may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="source", required=True, help="sqlite:////srv/kinoteka/data/kinoteka.sqlite3"
        )
        parser.add_argument("--to", dest="target", required=True, help="postgres://kinoteka@db.example:5432/kinoteka")

    def handle(self, source: str, target: str, **options: Any) -> None:
        old = self.open("source", source, "sqlite")
        new = self.open("default", target, "postgresql")  # as `migrate` and its migrations know only that one
        moved = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
        moved = [model for model in moved if not model._meta.proxy]
        self.refuse_unlike_source(old)
        self.refuse_full_target(new, moved)
        self.stdout.write("Making the tables …")
        try:
            call_command("migrate", database=new.alias, verbosity=0)
        except DatabaseError as error:
            raise CommandError(f"Nothing was moved, as the tables cannot be made: {format_error(error)}.") from None
        try:
            # one transaction on either side: the source does not move, the target has everything or nothing
            with transaction.atomic(using=old.alias), transaction.atomic(using=new.alias):
                total = self.copy_all(moved, old, new)
        except DatabaseError as error:
            raise CommandError(f"Nothing was moved: {format_error(error)}.") from None
        with new.cursor() as cursor:
            cursor.execute("ANALYZE")
        self.stdout.write(f"{total} rows of {len(moved)} tables are in PostgreSQL. Set DATABASE_URL to it and start.")

    def copy_all(self, moved: list[type[Model]], old: BaseDatabaseWrapper, new: BaseDatabaseWrapper) -> int:
        """Replace the rows of all tables by the source's, compare the counts; returns how many rows."""
        total = 0
        with new.cursor() as cursor:
            names = ", ".join(new.ops.quote_name(model._meta.db_table) for model in moved)
            cursor.execute(f"TRUNCATE {names}")
        for model in moved:
            copied = copy(model, old, new)
            here, there = (model._base_manager.using(side.alias).count() for side in (old, new))
            self.stdout.write(f"  {model._meta.db_table:<32}{here:>12}  →{there:>12}")
            if not copied == here == there:
                raise CommandError(f"{model._meta.db_table} has other rows than the source: nothing was moved.")
            total += there
        with new.cursor() as cursor:
            for statement in new.ops.sequence_reset_sql(no_style(), moved):
                cursor.execute(statement)
        return total

    def open(self, alias: str, url: str, vendor: str) -> BaseDatabaseWrapper:
        """A connection to the database at the address, under this alias from now on."""
        side = "source" if vendor == "sqlite" else "target"
        try:
            with warnings.catch_warnings(action="ignore"):  # of an unknown scheme; we say that ourselves
                config = environ.Env.db_url_config(url)
        except ValueError:
            raise CommandError(f"The {side} is no address of a database.") from None
        if config.get("PASSWORD"):
            config["PASSWORD"] = Secret(config["PASSWORD"])
            self.stderr.write(
                "A password in an address is shown to all who list the processes of this machine: leave it out and "
                "set PGPASSWORD to it."
            )
        elif vendor == "postgresql" and settings.PGPASSWORD:  # the operator's, not DATABASE_URL's
            config["PASSWORD"] = settings.PGPASSWORD
        if not config.get("ENGINE", "").endswith(vendor.replace("sqlite", "sqlite3")):
            raise CommandError(f"The {side} must be {'SQLite' if vendor == 'sqlite' else 'PostgreSQL'}.")
        if vendor == "sqlite" and not Path(config["NAME"]).is_file():
            raise CommandError(f"There is no file {config['NAME']}.")
        connections.databases[alias] = connections.configure_settings({"default": config})["default"]
        if any(connection.alias == alias for connection in connections.all(initialized_only=True)):
            connections[alias].close()
            del connections[alias]
        try:
            connections[alias].ensure_connection()
        except DatabaseError as error:
            raise CommandError(f"The {side} cannot be opened: {format_error(error)}.") from None
        return connections[alias]

    def refuse_unlike_source(self, source: BaseDatabaseWrapper) -> None:
        executor = MigrationExecutor(source)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError("The source is of another version: run `manage.py migrate` on it first.")

    def refuse_full_target(self, target: BaseDatabaseWrapper, moved: list[type[Model]]) -> None:
        """Refuse before anything is done to it: an older version or another program may be using it."""
        tables = set(target.introspection.table_names())
        there = [model for model in moved if model._meta.db_table in tables]
        if there and not MigrationRecorder(target).has_table():
            foreign = ", ".join(model._meta.db_table for model in there)
            raise CommandError(f"The target has tables of another program, so nothing was moved: {foreign}.")
        full = [
            model._meta.db_table
            for model in there
            if model._meta.label_lower not in MADE_BY_MIGRATE and model._base_manager.using(target.alias).exists()
        ]
        if full:
            raise CommandError(f"The target is not empty, so nothing was moved: {', '.join(full)}.")


def copy(model: type[Model], source: BaseDatabaseWrapper, target: BaseDatabaseWrapper) -> int:
    """Copy the rows of a table, without generated columns; returns how many. Raises CommandError."""
    import psycopg  # an extra

    fields = [field for field in model._meta.concrete_fields if not is_generated(field)]
    columns = ", ".join(target.ops.quote_name(str(field.column)) for field in fields)
    rows = model._base_manager.using(source.alias).order_by().values_list(*(field.attname for field in fields))
    written = 0
    with target.cursor() as cursor:
        statement = f"COPY {target.ops.quote_name(model._meta.db_table)} ({columns}) FROM STDIN"
        try:
            with cursor.copy(statement) as stream:
                row = None
                for row in rows.iterator(chunk_size=BATCH_ROWS):
                    stream.write_row([prepared(field, value, target) for field, value in zip(fields, row, strict=True)])
                    written += 1
                    row = None
        except psycopg.Error as error:  # Django does not wrap the errors of a COPY
            found = re.search(r"^COPY \S+, line (\d+)(?:, column (\w+))?", error.diag.context or "", re.MULTILINE)
            at = key_of(int(found[1]) - 1, model, source) if found else ""
            at += f", column {found[2]}" if found and found[2] else ""
            why = error.diag.message_primary or format_error(error)
            raise refusal(model, at, why) from None
        except (DatabaseError, ValueError, TypeError, ArithmeticError, ValidationError) as error:
            # SQLite stores values of any type: the bad one is in `row`, or in a later row that could not be read
            number = written if row else first_unreadable(written, model, source)
            raise refusal(model, key_of(number, model, source), format_error(error)) from None
    return written


def first_unreadable(number: int, model: type[Model], source: BaseDatabaseWrapper) -> int:
    """The first row from this one on that cannot be read; rows are numbered in SQLite's order."""
    with source.cursor() as cursor, contextlib.suppress(DatabaseError, ValueError):
        cursor.execute(f"{in_order('*', model, source)} LIMIT {BATCH_ROWS} OFFSET {number}")
        while cursor.fetchone():
            number += 1
    return number


def key_of(number: int, model: type[Model], source: BaseDatabaseWrapper) -> str:
    """The key of the row with this number, for a message: ", row id 603"."""
    keys = [str(field.column) for field in model._meta.pk_fields]
    with source.cursor() as cursor:
        cursor.execute(f"{in_order(', '.join(keys), model, source)} LIMIT 1 OFFSET {number}")
        row = cursor.fetchone() or ["?"] * len(keys)
    return ", row " + ", ".join(f"{key} {value}" for key, value in zip(keys, row, strict=True))


def in_order(columns: str, model: type[Model], source: BaseDatabaseWrapper) -> str:
    return f"SELECT {columns} FROM {source.ops.quote_name(model._meta.db_table)} NOT INDEXED"  # noqa: S608


def refusal(model: type[Model], at: str, why: str) -> CommandError:
    return CommandError(f"Nothing was moved, as PostgreSQL cannot take {model._meta.db_table}{at}: {why.rstrip('.')}.")


def is_generated(field: "Field[Any, Any]") -> bool:
    return isinstance(field, models.GeneratedField | models.CompositePrimaryKey)


def prepared(field: "Field[Any, Any]", value: Any, target: BaseDatabaseWrapper) -> Any:
    """A value as PostgreSQL stores it, which cannot hold NUL in a text. Raises ValueError."""
    if isinstance(value, bytes) and isinstance(field, models.CharField | models.TextField):
        raise ValueError(f"{field.column} is a text, not bytes")
    value = field.get_db_prep_save(value, target)
    return value.replace("\0", "") if isinstance(value, str) else value
