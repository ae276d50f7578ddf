from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('movies', '0019_fractions_in_titles'),
    ]

    operations = [
        migrations.AddField(
            model_name='movie',
            name='poster_failed_at',
            field=models.BigIntegerField(blank=True, db_comment="UNIX time an attempt last failed through the poster's fault; NULL: not known", null=True),
        ),
    ]
