from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("posters", "0001_initial"),
    ]

    operations = [
        migrations.RenameModel("KnownBot", "PosterBot"),
        migrations.RemoveConstraint("PosterBot", "one_known_bot"),
        migrations.AlterModelTable("PosterBot", "poster_bot"),
        migrations.AlterModelTableComment("PosterBot", "The bot whose file_ids the movies hold"),
        migrations.AddConstraint(
            "PosterBot", models.CheckConstraint(condition=models.Q(("id", 1)), name="one_poster_bot")
        ),
    ]
