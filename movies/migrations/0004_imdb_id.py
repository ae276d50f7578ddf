from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("movies", "0003_searchable"),
    ]

    operations = [
        migrations.AddField(
            model_name="movie",
            name="imdb_id",
            field=models.TextField(
                blank=True, db_comment="tt…; empty: none, or not yet read", db_default="", default=""
            ),
        ),
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(fields=["imdb_id"], name="movies_by_imdb_id"),
        ),
    ]
