from django.db import migrations, models

INDEX = models.Index(
    fields=["poster_status", "-poster_priority", "poster_next_try_at", "id"], name="movies_by_poster_status"
)
COMMENTS = {
    "poster_next_try_at": "UNIX time; in the future while claimed, delayed or failed permanently",
    "uploads_unconfirmed": "uploads begun whose outcome is not known; counted before each",
}


def write_comments(apps, schema_editor):
    """AlterField would copy SQLite's whole table twice, for comments that SQLite does not have."""
    if schema_editor.connection.features.supports_comments:
        for column, comment in COMMENTS.items():
            schema_editor.execute(f"COMMENT ON COLUMN movies.{column} IS '{comment}'")


class Migration(migrations.Migration):
    dependencies = [
        ("movies", "0010_names_for_people"),
    ]

    operations = [
        # the database renames the columns in its index itself; only Django's state has to follow
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveIndex("movie", INDEX.name)]),
        migrations.RenameField("movie", "poster_need", "poster_priority"),
        migrations.RenameField("movie", "poster_unanswered", "uploads_unconfirmed"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddIndex("movie", INDEX),
                migrations.AlterField(
                    "movie",
                    "poster_next_try_at",
                    models.BigIntegerField(db_comment=COMMENTS["poster_next_try_at"], db_default=0, default=0),
                ),
                migrations.AlterField(
                    "movie",
                    "uploads_unconfirmed",
                    models.PositiveSmallIntegerField(
                        db_comment=COMMENTS["uploads_unconfirmed"], db_default=0, default=0
                    ),
                ),
            ],
            database_operations=[migrations.RunPython(write_comments, migrations.RunPython.noop)],
        ),
    ]
