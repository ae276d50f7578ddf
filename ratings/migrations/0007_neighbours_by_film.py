"""One row a film instead of one a neighbour; the rows of the build that serves come along, those of others are let go."""

from array import array
from itertools import groupby
from operator import itemgetter

from django.db import migrations, models


def gather(apps, schema_editor):
    connection = schema_editor.connection
    serving = apps.get_model("ratings", "Build").objects.filter(finished_at__isnull=False).order_by("-pk").first()
    if not serving:
        return
    rows = (
        apps.get_model("ratings", "Neighbour")
        .objects.filter(build_id=serving.pk)
        .extra(select={"unplaced": "place = 0"}, order_by=["movie_id", "unplaced", "place", "neighbour_id"])
        .values_list("movie_id", "neighbour_id", "weight", "place")
    )
    with connection.cursor() as cursor:
        for film, group in groupby(rows.iterator(chunk_size=10_000), itemgetter(0)):
            neighbours = list(group)
            cursor.execute(
                "INSERT INTO neighbours (build_id, movie_id, films, weights, nearest) VALUES (%s, %s, %s, %s, %s)",
                [
                    serving.pk,
                    film,
                    array("i", [row[1] for row in neighbours]).tobytes(),
                    array("f", [row[2] for row in neighbours]).tobytes(),
                    sum(row[3] > 0 for row in neighbours),
                ],
            )


class Migration(migrations.Migration):
    dependencies = [("ratings", "0006_builds_in_the_office")]
    operations = [
        migrations.AlterModelTable("neighbour", "neighbour_pairs"),
        migrations.CreateModel(
            "Neighbours",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "build_id", "movie_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("build_id", models.IntegerField(db_comment="neighbour_builds.id")),
                ("movie_id", models.IntegerField(db_comment="TMDb movie id; 0: the film that everybody has seen")),
                (
                    "films",
                    models.BinaryField(
                        db_comment="TMDb ids, 4 bytes each, little-endian; first the most alike, best first"
                    ),
                ),
                (
                    "weights",
                    models.BinaryField(
                        db_comment="what liking the film adds to the score of each of these; float32, little-endian; may be negative"
                    ),
                ),
                (
                    "nearest",
                    models.SmallIntegerField(
                        default=0, db_default=0, db_comment="how many of them are the most alike"
                    ),
                ),
            ],
            options={"db_table": "neighbours", "db_table_comment": "Films that go together"},
        ),
        migrations.RunPython(gather, migrations.RunPython.noop),
        migrations.DeleteModel("neighbour"),
        migrations.AlterField(
            "build",
            "neighbours",
            models.PositiveIntegerField(
                "neighbours", default=0, db_default=0, db_comment="of all films together"
            ),
        ),
    ]
