from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("users", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="OldSession",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("session_id", models.TextField(db_comment="encrypted as in users")),
                (
                    "attempts",
                    models.PositiveIntegerField(db_comment="counted before each", db_default=0, default=0),
                ),
                ("next_try_at", models.BigIntegerField(db_comment="UNIX seconds", db_default=0, default=0)),
            ],
            options={
                "db_table": "old_sessions",
                "db_table_comment": "TMDb sessions to be ended",
                "indexes": [models.Index(fields=["next_try_at"], name="old_sessions_by_next_try")],
            },
        ),
    ]
