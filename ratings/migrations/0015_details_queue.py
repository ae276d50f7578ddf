"""Films whose details are missing stand in `movies` itself, with what has been tried."""

from django.db import migrations


def move_into_movies(apps, schema_editor):
    movies = apps.get_model("movies", "Movie").objects
    for failure in apps.get_model("ratings", "DetailsFailure").objects.iterator():
        movies.filter(pk=failure.movie_id, details_at=None).update(
            details_error=failure.error or "not read", details_attempts=failure.attempts, details_next_try_at=failure.next_try_at
        )
    missing = apps.get_model("ratings", "MissingMovie").objects.order_by("-wanted", "movie_id")
    rows = [
        movies.model(pk=pk, search_text="|", details_place=place, details_next_try_at=next_try_at)
        for place, (pk, next_try_at) in enumerate(missing.values_list("pk", "next_try_at"))
    ]
    movies.bulk_create(rows, ignore_conflicts=True, batch_size=500)


class Migration(migrations.Migration):

    dependencies = [
        ("movies", "0015_details_queue"),
        ("ratings", "0014_topics"),
    ]

    operations = [
        migrations.RunPython(move_into_movies, migrations.RunPython.noop),
        migrations.DeleteModel(name="MissingMovie"),
        migrations.DeleteModel(name="DetailsFailure"),
    ]
