"""One queue of updates for polling and the webhook: a key of its own, since Telegram's ids may restart."""

from django.db import migrations, models
from django.db.models import Q

COPY = """
    INSERT INTO updates (numbering, update_id, chat, body, state, attempts, claim_expires_at, received_at)
    SELECT 0, update_id, CASE WHEN state < 2 THEN chat ELSE '' END, body,
        CASE WHEN state < 2 THEN 0 ELSE 2 END, tries, 0, received_at
    FROM updates_of_webhook ORDER BY received_at, update_id
"""


class Migration(migrations.Migration):
    dependencies = [("config", "0008_rate_limit_updated_at")]

    operations = [
        migrations.RenameModel("Update", "WebhookUpdate"),
        migrations.AlterModelTable("WebhookUpdate", "updates_of_webhook"),
        migrations.CreateModel(
            name="Update",
            fields=[
                (
                    "id",
                    models.BigAutoField(primary_key=True, serialize=False, db_comment="the order in which they came"),
                ),
                (
                    "numbering",
                    models.IntegerField(default=0, db_default=0, db_comment="raised when Telegram's ids restart"),
                ),
                ("update_id", models.BigIntegerField(db_comment="Telegram's; the order within a chat")),
                (
                    "chat",
                    models.CharField(max_length=64, db_comment="what is handled one by one; empty once it has ended"),
                ),
                ("body", models.TextField(db_comment="JSON as it came; empty once it has ended")),
                (
                    "state",
                    models.SmallIntegerField(
                        choices=[
                            (0, "Waiting"),
                            (1, "Claimed"),
                            (2, "Handled"),
                            (3, "Dropped"),
                            (4, "Given Up"),
                            (5, "Timed Out"),
                        ],
                        default=0,
                        db_default=0,
                        db_comment="0 waits, 1 claimed, 2 handled, 3 dropped, 4 given up, 5 timed out",
                    ),
                ),
                ("attempts", models.SmallIntegerField(default=0, db_default=0, db_comment="counted before each")),
                (
                    "claim_expires_at",
                    models.FloatField(default=0, db_default=0, db_comment="UNIX time; renewed while handled"),
                ),
                ("received_at", models.FloatField(db_comment="UNIX time")),
            ],
            options={
                "db_table": "updates",
                "db_table_comment": "The queue of Telegram's updates",
                "constraints": [
                    models.UniqueConstraint(fields=["numbering", "update_id"], name="one_row_per_update_id"),
                    models.UniqueConstraint(fields=["chat"], condition=Q(state=1), name="one_claimed_update_per_chat"),
                ],
                "indexes": [
                    models.Index(
                        fields=["chat", "numbering", "update_id"], condition=Q(state__lt=2), name="updates_unfinished"
                    ),
                    models.Index(fields=["received_at"], name="updates_by_arrival"),
                ],
            },
        ),
        migrations.RunSQL(COPY, migrations.RunSQL.noop),
        migrations.DeleteModel("WebhookUpdate"),
    ]
