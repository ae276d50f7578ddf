from __future__ import annotations

import contextlib
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import environ
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.db import DatabaseError, connections, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from config.monitoring.logs import format_error
from config.monitoring.secret import Secret

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

BATCH = 5000  # rows held in memory
# What `migrate` itself writes into a new database; the source's rows take their place, under their own ids.
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

    def handle(self, source, target, **options: Any) -> None:
        source = self.open("source", source, "sqlite")
        target = self.open("default", target, "postgresql")  # as `migrate` and its migrations know only that one
        tables = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
        tables = [model for model in tables if not model._meta.proxy]
        self.refuse_unlike_source(source)
        self.refuse_full_target(target, tables)
        self.stdout.write("Making the tables …")
        try:
            call_command("migrate", database=target.alias, verbosity=0)
        except DatabaseError as error:
            raise CommandError(f"Nothing was moved, as the tables cannot be made: {format_error(error)}.") from None
        counts = []
        try:
            # one transaction on either side: the source does not move, the target has everything or nothing
            with transaction.atomic(using=source.alias), transaction.atomic(using=target.alias):
                with target.cursor() as cursor:
                    names = ", ".join(target.ops.quote_name(model._meta.db_table) for model in tables)
                    cursor.execute(f"TRUNCATE {names}")
                for model in tables:
                    copied = copy(model, source, target)
                    there = model._base_manager.using(target.alias).count()
                    counts.append((model._meta.db_table, count(model, source), there))
                    self.stdout.write("  {:<32}{:>12}  →{:>12}".format(*counts[-1]))
                    if not copied == there == counts[-1][1]:
                        raise CommandError(f"{model._meta.db_table} has other rows than the source: nothing was moved.")
                with target.cursor() as cursor:
                    for statement in target.ops.sequence_reset_sql(no_style(), tables):
                        cursor.execute(statement)
        except DatabaseError as error:
            raise CommandError(f"Nothing was moved: {format_error(error)}.") from None
        with target.cursor() as cursor:
            cursor.execute("ANALYZE")
        total = sum(there for _name, _here, there in counts)
        self.stdout.write(f"{total} rows of {len(counts)} tables are in PostgreSQL. Set DATABASE_URL to it and start.")

    def open(self, alias, url: str, vendor):
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
                "Whoever lists the processes of this machine reads a password in an address: better leave it out, and "
                "set PGPASSWORD to it."
            )
        elif vendor == "postgresql" and settings.PGPASSWORD:  # not what DATABASE_URL has put in its place
            config["PASSWORD"] = settings.PGPASSWORD
        if not config.get("ENGINE", "").endswith(vendor.replace("sqlite", "sqlite3")):
            raise CommandError(f"The {side} must be {'SQLite' if vendor == 'sqlite' else 'PostgreSQL'}.")
        if vendor == "sqlite" and not Path(config["NAME"]).is_file():
            raise CommandError(f"There is no file {config['NAME']}.")
        connections.databases[alias] = connections.configure_settings({"default": config})["default"]
        if hasattr(connections._connections, alias):
            connections[alias].close()
            del connections[alias]
        try:
            connections[alias].ensure_connection()
        except DatabaseError as error:
            raise CommandError(f"The {side} cannot be opened: {format_error(error)}.") from None
        return connections[alias]

    def refuse_unlike_source(self, source) -> None:
        executor = MigrationExecutor(source)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError("The source is of another version: run `manage.py migrate` on it first.")

    def refuse_full_target(self, target, tables) -> None:
        """Look before anything is done to it: it may be in use, by an older version or by another program."""
        there = set(target.introspection.table_names())
        there = [model for model in tables if model._meta.db_table in there]
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


def count(model, database):
    return model._base_manager.using(database.alias).count()


def copy(model, source, target):
    """Copy a table, all but what the database computes by itself; returns how many rows."""
    fields = [field for field in model._meta.concrete_fields if not generated(field)]
    columns = ", ".join(target.ops.quote_name(field.column) for field in fields)
    rows = model._base_manager.using(source.alias).order_by().values_list(*(field.attname for field in fields))
    written = 0
    with target.cursor() as cursor:
        statement = f"COPY {target.ops.quote_name(model._meta.db_table)} ({columns}) FROM STDIN"
        try:
            with cursor.copy(statement) as stream:
                row = None
                for row in rows.iterator(chunk_size=BATCH):
                    stream.write_row([stored(field, value, target) for field, value in zip(fields, row, strict=True)])
                    written += 1
                    row = None
        except target.Database.Error as error:  # psycopg's own: Django does not see into a COPY
            found = re.search(r"^COPY \S+, line (\d+)(?:, column (\w+))?", error.diag.context or "", re.MULTILINE)
            at = key_of(int(found[1]) - 1, model, source) if found else ""
            at += f", column {found[2]}" if found and found[2] else ""
            why = error.diag.message_primary or format_error(error)
            raise refusal(model, at, why) from None
        except (DatabaseError, ValueError, TypeError, ArithmeticError, ValidationError) as error:
            # what SQLite keeps where it does not belong: in `row`, or in a later one that could not even be read
            number = written if row else first_unreadable(written, model, source)
            raise refusal(model, key_of(number, model, source), format_error(error)) from None
    return written


def first_unreadable(number: int, model, source):
    """The first row from this one on that cannot be read; rows are numbered as SQLite keeps them."""
    with source.cursor() as cursor, contextlib.suppress(DatabaseError, ValueError):
        cursor.execute(f"{in_order('*', model, source)} LIMIT {BATCH} OFFSET {number}")
        while cursor.fetchone():
            number += 1
    return number


def key_of(number: int, model, source):
    """Which row that is, for people: ", row id 603"."""
    keys = [field.column for field in model._meta.pk_fields]
    with source.cursor() as cursor:
        cursor.execute(f"{in_order(', '.join(keys), model, source)} LIMIT 1 OFFSET {number}")
        row = cursor.fetchone() or ["?"] * len(keys)
    return ", row " + ", ".join(f"{key} {value}" for key, value in zip(keys, row, strict=True))


def in_order(columns, model, source) -> str:
    return f"SELECT {columns} FROM {source.ops.quote_name(model._meta.db_table)} NOT INDEXED"  # noqa: S608


def refusal(model, at, why):
    return CommandError(f"Nothing was moved, as PostgreSQL cannot take {model._meta.db_table}{at}: {why.rstrip('.')}.")


def generated(field) -> bool:
    return isinstance(field, models.GeneratedField | models.CompositePrimaryKey)


def stored(field, value, target):
    """A value as PostgreSQL keeps it, which has no room for NUL in a text."""
    if isinstance(value, bytes) and isinstance(field, models.CharField | models.TextField):
        raise ValueError(f"{field.column} is a text, not bytes")
    value = field.get_db_prep_save(value, target)
    return value.replace("\0", "") if isinstance(value, str) else value
