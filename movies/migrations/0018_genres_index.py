from django.db import migrations


def make(apps, schema_editor):
    """An index for recommendations of rare genres on PostgreSQL; SQLite has none for JSON, and is quick without."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE INDEX IF NOT EXISTS movies_by_genres ON movies USING gin (genres jsonb_path_ops)"
        )


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS movies_by_genres")


class Migration(migrations.Migration):
    dependencies = [("movies", "0017_collection")]
    operations = [migrations.RunPython(make, drop)]
