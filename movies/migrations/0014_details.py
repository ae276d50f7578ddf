"""What a card says of a film. Films read before these columns were there are read again, after all others."""

import config.fields
from django.db import migrations, models


def read_again(apps, schema_editor):
    apps.get_model("movies", "Movie").objects.filter(details_at__gt=0).update(details_at=0)


class Migration(migrations.Migration):

    dependencies = [
        ('movies', '0013_admin_labels'),
    ]

    operations = [
        migrations.AddField(
            model_name='movie',
            name='actors',
            field=models.JSONField(blank=True, db_comment='the first five billed, likewise', db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='movie',
            name='countries',
            field=models.JSONField(blank=True, db_comment='ISO 3166-1, e.g. ["US"]', db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='movie',
            name='directors',
            field=models.JSONField(blank=True, db_comment='[{name, original_name}]; name: in TMDB_LANGUAGE', db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='movie',
            name='genres',
            field=models.JSONField(blank=True, db_comment="TMDb's ids, e.g. [28, 12]", db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='movie',
            name='overview_en',
            field=config.fields.PlainTextField(blank=True, db_comment='in English', db_default='', default='', null=True),
        ),
        migrations.AddField(
            model_name='movie',
            name='title_en',
            field=config.fields.PlainTextField(blank=True, db_default='', default='', null=True, verbose_name='English title'),
        ),
        migrations.AddField(
            model_name='movie',
            name='trailer_key',
            field=config.fields.PlainTextField(blank=True, db_comment="YouTube's; empty: none", db_default='', default='', null=True),
        ),
        migrations.RunPython(read_again, migrations.RunPython.noop),
    ]
