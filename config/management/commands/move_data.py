import warnings
from pathlib import Path

import environ
from django.apps import apps
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.db import DatabaseError, connections, models, transaction
from django.db.migrations.executor import MigrationExecutor

from config.secret import Secret

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

    def add_arguments(self, parser):
        parser.add_argument(
            "--from", dest="source", required=True, help="sqlite:////srv/kinoteka/data/kinoteka.sqlite3"
        )
        parser.add_argument("--to", dest="target", required=True, help="postgres://kinoteka@db.example:5432/kinoteka")

    def handle(self, source, target, **options):
        source = self.open("source", source, "sqlite")
        target = self.open("default", target, "postgresql")  # as `migrate` and its migrations know only that one
        tables = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
        tables = [model for model in tables if not model._meta.proxy]
        self.refuse_unlike_source(source)
        self.stdout.write("Making the tables …")
        call_command("migrate", database=target.alias, verbosity=0)
        self.refuse_full_target(target, tables)
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
            raise CommandError(f"Nothing was moved: {error}") from None
        with target.cursor() as cursor:
            cursor.execute("ANALYZE")
        total = sum(there for _name, _here, there in counts)
        self.stdout.write(f"{total} rows of {len(counts)} tables are in PostgreSQL. Set DATABASE_URL to it and start.")

    def open(self, alias, url, vendor):
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
            raise CommandError(f"The {side} cannot be opened: {error}") from None
        return connections[alias]

    def refuse_unlike_source(self, source):
        executor = MigrationExecutor(source)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError("The source is of another version: run `manage.py migrate` on it first.")

    def refuse_full_target(self, target, tables):
        full = [
            model._meta.db_table
            for model in tables
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
        with cursor.copy(statement) as stream:
            for row in rows.iterator(chunk_size=BATCH):
                stream.write_row([stored(field, value, target) for field, value in zip(fields, row, strict=True)])
                written += 1
    return written


def generated(field):
    return isinstance(field, models.GeneratedField | models.CompositePrimaryKey)


def stored(field, value, target):
    """A value as PostgreSQL keeps it, which has no room for NUL in a text."""
    value = field.get_db_prep_save(value, target)
    return value.replace("\0", "") if isinstance(value, str) else value
