from django.db import migrations
from django.db.models import Q


def fold_again(apps, schema_editor):
    """Titles with a fraction or a number sign are folded otherwise now; an empty search_text is filled in."""
    signs = "[№¼-¾⅐-⅞]"
    movies = apps.get_model("movies", "Movie").objects.using(schema_editor.connection.alias)
    titled = Q(title__regex=signs) | Q(original_title__regex=signs) | Q(title_en__regex=signs)
    movies.filter(titled).update(search_text="")


class Migration(migrations.Migration):
    dependencies = [("movies", "0018_genres_index")]

    operations = [migrations.RunPython(fold_again, migrations.RunPython.noop, elidable=True)]
