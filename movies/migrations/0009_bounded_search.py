from django.db import migrations

INDEXES = {
    "movies_by_title": "gin (string_to_array(\"left\"(search_text, 500), '|')) WITH (fastupdate = off)",
    "movies_by_word": "gin (to_tsvector('simple'::regconfig, \"left\"(search_text, 2000))) WITH (fastupdate = off)",
    "movies_by_votes": "btree (vote_count DESC)",
    "movies_by_year_and_votes": "btree (year, vote_count DESC)",
}


def make(apps, schema_editor):
    """What movies.search looks films up by on PostgreSQL; nothing here needs an extension."""
    if schema_editor.connection.vendor == "postgresql":
        for name, columns in INDEXES.items():
            schema_editor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON movies USING {columns}")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for name in INDEXES:
            schema_editor.execute(f"DROP INDEX IF EXISTS {name}")


class Migration(migrations.Migration):
    dependencies = [("movies", "0008_texts_may_be_null")]
    operations = [migrations.RunPython(make, drop)]
