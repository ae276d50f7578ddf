from django.db import migrations, models


class Migration(migrations.Migration):
    """Tables of rate limits and metrics under their usual names; counts by status move to the cache."""

    dependencies = [("config", "0005_updates")]

    operations = [
        migrations.DeleteModel(name="Figure"),
        migrations.RenameModel(old_name="Turn", new_name="RateLimit"),
        migrations.AlterModelTable(name="RateLimit", table="rate_limits"),
        migrations.AlterField(
            model_name="ratelimit",
            name="next_at",
            field=models.FloatField(db_comment="UNIX time of the next free slot", db_default=0, default=0),
        ),
        migrations.AlterModelTableComment(
            name="lease", table_comment="Which process does which work, and until when"
        ),
        migrations.RenameModel(old_name="Count", new_name="MetricCount"),
        migrations.AlterModelTable(name="MetricCount", table="metric_counts"),
        migrations.RenameIndex(
            model_name="metriccount", old_name="counts_by_minute", new_name="metric_counts_by_minute"
        ),
        migrations.AlterField(
            model_name="metriccount",
            name="minute",
            field=models.BigIntegerField(db_comment="UNIX seconds of its beginning; 9999999999: all time"),
        ),
        migrations.AlterModelTableComment(
            name="heartbeat", table_comment="Heartbeats of the bot, the workers and the schedules"
        ),
        migrations.AlterField(
            model_name="heartbeat",
            name="kind",
            field=models.CharField(db_comment="the component: bot, worker, schedule", max_length=20),
        ),
        migrations.AlterField(
            model_name="heartbeat",
            name="name",
            field=models.CharField(db_comment="the instance: a process or a schedule", max_length=150),
        ),
        migrations.AlterField(
            model_name="heartbeat",
            name="doing",
            field=models.CharField(
                db_comment="current job, or latest result", db_default="", default="", max_length=200
            ),
        ),
    ]
