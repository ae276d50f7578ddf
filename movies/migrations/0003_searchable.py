from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("movies", "0002_poster_unanswered"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="movie",
            index=models.Index(fields=["id"], condition=Q(("search_text", "")), name="movies_not_yet_searchable"),
        ),
        # titles are folded in another way now: the next search does it again
        migrations.RunSQL("UPDATE movies SET search_text = ''", migrations.RunSQL.noop),
    ]
