from django.db import DatabaseError, migrations, transaction


def make(apps, schema_editor):
    """An index for words in the middle of a title, where PostgreSQL lets us have it: searches work without, slower."""
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(schema_editor.connection.alias), schema_editor.connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            cursor.execute(
                "CREATE INDEX IF NOT EXISTS movies_by_search_text ON movies USING gin (search_text gin_trgm_ops)"
            )
    except DatabaseError as error:
        print(f"\n  no index for the search of titles: {error}".rstrip(), end="")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS movies_by_search_text")


class Migration(migrations.Migration):
    dependencies = [("movies", "0006_back_office")]
    operations = [migrations.RunPython(make, drop)]
