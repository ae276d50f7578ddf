from django.db import migrations, models


class Migration(migrations.Migration):
    """When a slot was written, so that a clock that was set back is noticed."""

    dependencies = [("config", "0007_login_attempts")]

    operations = [
        migrations.AddField(
            model_name="ratelimit",
            name="updated_at",
            field=models.FloatField(default=0, db_default=0, db_comment="UNIX time when next_at was written"),
        ),
    ]
