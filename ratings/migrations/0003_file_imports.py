import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("ratings", "0002_imports"),
        ("users", "0002_old_sessions"),
    ]

    operations = [
        migrations.CreateModel(
            name="FileImport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("telegram_file_id", models.TextField(db_comment="of the document")),
                (
                    "message_id",
                    models.BigIntegerField(blank=True, db_comment="the message in the chat that shows it", null=True),
                ),
                ("sent_at", models.BigIntegerField(db_comment="UNIX seconds")),
                (
                    "replace",
                    models.BooleanField(
                        db_comment="the file's rating counts even where the one here is newer",
                        db_default=False,
                        default=False,
                    ),
                ),
                (
                    "rows_total",
                    models.PositiveIntegerField(blank=True, db_comment="NULL until the file has been read", null=True),
                ),
                ("rows_done", models.PositiveIntegerField(db_default=0, default=0)),
                (
                    "outcome",
                    models.JSONField(db_comment="how many rows came to what: added, changed, kept, …", default=dict),
                ),
                (
                    "names",
                    models.JSONField(db_comment="films that were kept or not found, some of each", default=dict),
                ),
                (
                    "attempts",
                    models.PositiveIntegerField(db_comment="in vain, since the last progress", db_default=0, default=0),
                ),
                ("next_try_at", models.BigIntegerField(db_comment="UNIX seconds", db_default=0, default=0)),
                (
                    "finished_at",
                    models.BigIntegerField(blank=True, db_comment="UNIX seconds; NULL while there is work", null=True),
                ),
                (
                    "told_at",
                    models.BigIntegerField(
                        blank=True, db_comment="UNIX seconds when the person knew the outcome", null=True
                    ),
                ),
                (
                    "error",
                    models.TextField(
                        blank=True, db_comment="why it was given up; empty: it was not", db_default="", default=""
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_column="telegram_user_id",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="file_imports",
                        to="users.user",
                    ),
                ),
            ],
            options={
                "verbose_name": "file import",
                "verbose_name_plural": "file imports",
                "db_table": "file_imports",
                "db_table_comment": "CSV files that people sent, running and past",
                "indexes": [
                    models.Index(fields=["finished_at", "next_try_at"], name="file_imports_by_next_try")
                ],
            },
        ),
    ]
