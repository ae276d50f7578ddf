"""Tables, models and columns under the field's standard names."""

from django.db import migrations, models

MODELS = {
    "Build": "TrainingRun",
    "Neighbours": "SimilarMovies",
    "TMDbAsked": "TMDbRecommendationFetch",
    "TMDbNeighbour": "TMDbRecommendation",
    "WantedFilm": "MissingMovie",
    "NotInteresting": "DismissedMovie",
}
READER_STATE = {
    "reading": "pass",
    "pages": "total_pages",
    "total": "total_results",
    "done": "pages_read",
    "ends": "edge_pages",
    "same": "edges_confirmed",
    "moved": "list_changed",
    "missing": "missing",
    "skipped": "skipped",
    "settled": "consistent",
    "never_listed": "never_listed",
}

COMMENTS = {  # of similar_movies: SQLite has none, and an AlterField would copy this large table there
    "run_id": "training_runs.id",
    "movie_id": "TMDb movie id; 0: the popularity item",
    "movie_ids": "TMDb ids, 4 bytes each, little-endian; first the most similar, best first",
    "weights": "what liking the movie adds to the score of each of these; float32, little-endian; may be negative",
    "nearest": "how many of them are the most similar",
}


def comment_similar_movies(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute("COMMENT ON TABLE similar_movies IS 'Neighbours of movies'")
    for column, comment in COMMENTS.items():
        schema_editor.execute(f"COMMENT ON COLUMN similar_movies.{column} IS '{comment}'")


def rename_permissions(apps, schema_editor, models=MODELS):
    """Let groups and staff keep what they may do: RenameModel leaves the codenames, and Django would make others."""
    ContentType, Permission = apps.get_model("contenttypes", "ContentType"), apps.get_model("auth", "Permission")
    for old, new in models.items():
        types, old_name, new_name = ContentType.objects.filter(app_label="ratings"), old.lower(), new.lower()
        if not types.filter(model=new_name).exists():
            types.filter(model=old_name).update(model=new_name)
        for action in ("add", "change", "delete", "view"):
            Permission.objects.filter(content_type__app_label="ratings", codename=f"{action}_{old_name}").update(
                codename=f"{action}_{new_name}"
            )


def restore_permissions(apps, schema_editor):
    rename_permissions(apps, schema_editor, {new: old for old, new in MODELS.items()})


def rename_keys(apps, keys):
    """In the state of imports, running ones go on where they were."""
    Import = apps.get_model("ratings", "Import")
    for run in Import.objects.exclude(reader_state={}).only("reader_state").iterator(chunk_size=500):
        run.reader_state = {keys.get(key, key): value for key, value in run.reader_state.items()}
        run.save(update_fields=["reader_state"])


def rename_reader_state(apps, schema_editor):
    rename_keys(apps, READER_STATE)


def restore_reader_state(apps, schema_editor):
    rename_keys(apps, {new: old for old, new in READER_STATE.items()})


def renamed(model, **fields):
    return [migrations.RenameField(model, old, new) for old, new in fields.items()]


class Migration(migrations.Migration):
    dependencies = [
        ("ratings", "0008_tmdb_fails_at_a_film"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [
        *(migrations.RenameModel(old, new) for old, new in MODELS.items()),
        migrations.AlterModelTable("TrainingRun", "training_runs"),
        migrations.AlterModelTable("SimilarMovies", "similar_movies"),
        migrations.AlterModelTable("TMDbRecommendationFetch", "tmdb_recommendations_fetches"),
        migrations.AlterModelTable("TMDbRecommendation", "tmdb_recommendations"),
        migrations.AlterModelTable("MissingMovie", "missing_movies"),
        migrations.AlterModelTable("DismissedMovie", "dismissed_movies"),
        migrations.RenameIndex("MissingMovie", "missing_movies_by_wanted", "wanted_films_by_wanted"),
        # a RenameField of a part of a composite key would leave the key with the old name
        migrations.RunSQL(
            [
                "ALTER TABLE similar_movies RENAME COLUMN build_id TO run_id",
                "ALTER TABLE similar_movies RENAME COLUMN films TO movie_ids",
            ],
            [
                "ALTER TABLE similar_movies RENAME COLUMN run_id TO build_id",
                "ALTER TABLE similar_movies RENAME COLUMN movie_ids TO films",
            ],
            [
                migrations.DeleteModel("SimilarMovies"),
                migrations.CreateModel(
                    "SimilarMovies",
                    [
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "run_id", "movie_id", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("run_id", models.IntegerField(db_comment=COMMENTS["run_id"])),
                        ("movie_id", models.IntegerField(db_comment=COMMENTS["movie_id"])),
                        ("movie_ids", models.BinaryField(db_comment=COMMENTS["movie_ids"])),
                        ("weights", models.BinaryField(db_comment=COMMENTS["weights"])),
                        (
                            "nearest",
                            models.SmallIntegerField(default=0, db_default=0, db_comment=COMMENTS["nearest"]),
                        ),
                    ],
                    options={"db_table": "similar_movies", "db_table_comment": "Neighbours of movies"},
                ),
            ],
        ),
        *renamed(
            "TrainingRun",
            asked_by="triggered_by",
            people="users",
            archive_people="archive_users",
            films="movies",
            order_strength="order_weight",
        ),
        *renamed("TMDbRecommendationFetch", asked_at="fetched_at"),
        *renamed("TMDbRecommendation", neighbour_id="recommended_id"),
        *renamed("DismissedMovie", said_at="dismissed_at"),
        *renamed("MatchLink", made_at="created_at"),
        *renamed("FileImport", told_at="reported_at", replace="overwrite_existing"),
        *renamed("Rating", seen_in_crawl="seen_in_pass"),
        *renamed(
            "Import",
            told_at="reported_at",
            crawl="reader_state",
            crawled="account_read",
            quick="incremental",
            out_of_reach="beyond_api_limit",
            films_total="movies_total",
            films_done="movies_done",
            trouble_since="failing_since",
            trouble="last_error",
        ),
        migrations.RunPython(comment_similar_movies, migrations.RunPython.noop),
        migrations.AlterModelTableComment(
            name='detailsfailure',
            table_comment='Movies whose details TMDb would not give',
        ),
        migrations.AlterModelTableComment(
            name='dismissedmovie',
            table_comment='Movies that users do not want recommended',
        ),
        migrations.AlterModelTableComment(
            name='fileimport',
            table_comment='Files of ratings that users sent, running and past',
        ),
        migrations.AlterModelTableComment(
            name='matchlink',
            table_comment='Links by which users let others compare tastes with them',
        ),
        migrations.AlterModelTableComment(
            name='missingmovie',
            table_comment='Movies to be fetched, since recommendations lead to them',
        ),
        migrations.AlterModelTableComment(
            name='rating',
            table_comment='Ratings of users, from TMDb and from the chat',
        ),
        migrations.AlterModelTableComment(
            name='tmdbrecommendation',
            table_comment='Movies that TMDb recommends, by movie',
        ),
        migrations.AlterModelTableComment(
            name='tmdbrecommendationfetch',
            table_comment='Movies whose recommendations TMDb has been asked for',
        ),
        migrations.AlterModelTableComment(
            name='trainingrun',
            table_comment='When the similar movies were trained, and from what',
        ),
        migrations.AlterField(
            model_name='dismissedmovie',
            name='user',
            field=models.ForeignKey(db_column='telegram_user_id', on_delete=models.CASCADE, related_name='dismissed_movies', to='users.user'),
        ),
        migrations.AlterField(
            model_name='fileimport',
            name='attempts',
            field=models.PositiveIntegerField(db_comment='failed ones since the last progress', db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='fileimport',
            name='names',
            field=models.JSONField(db_comment='movies that were kept or not found, some of each', default=dict),
        ),
        migrations.AlterField(
            model_name='fileimport',
            name='outcome',
            field=models.JSONField(db_comment='the number of rows by result: added, changed, kept, …', default=dict),
        ),
        migrations.AlterField(
            model_name='fileimport',
            name='reported_at',
            field=models.BigIntegerField(blank=True, db_comment='UNIX seconds when the user was sent the outcome', null=True),
        ),
        migrations.AlterField(
            model_name='import',
            name='account_id',
            field=models.BigIntegerField(db_comment='TMDb account; NULL until it is known', null=True),
        ),
        migrations.AlterField(
            model_name='import',
            name='complete',
            field=models.BooleanField(db_comment='every rating was read, from an account that did not change meanwhile', db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name='import',
            name='failed',
            field=models.PositiveIntegerField(db_comment='movies whose details could not be read', db_default=0, default=0, verbose_name='films whose details did not come'),
        ),
        migrations.AlterField(
            model_name='import',
            name='last_error',
            field=models.TextField(blank=True, db_comment='the latest error of TMDb', db_default='', default=''),
        ),
        migrations.AlterField(
            model_name='import',
            name='movies_done',
            field=models.PositiveIntegerField(db_comment='progress: movies whose details were asked for', db_default=0, default=0, verbose_name='films asked for'),
        ),
        migrations.AlterField(
            model_name='import',
            name='movies_total',
            field=models.PositiveIntegerField(db_comment='rated movies that lacked details', db_default=0, default=0, verbose_name='films without details'),
        ),
        migrations.AlterField(
            model_name='import',
            name='names',
            field=models.JSONField(db_comment='the movies of overridden, left_out, removed and failed, by id, at most 200 each', default=dict),
        ),
        migrations.AlterField(
            model_name='import',
            name='next_try_at',
            field=models.BigIntegerField(db_comment='UNIX seconds; later, while TMDb does not answer', db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='import',
            name='ratings_done',
            field=models.PositiveIntegerField(db_comment='progress: ratings read', db_default=0, default=0, verbose_name='ratings read'),
        ),
        migrations.AlterField(
            model_name='import',
            name='reader_state',
            field=models.JSONField(db_comment='how far the account has been read; see ratings.tmdb_sync.reader', default=dict),
        ),
        migrations.AlterField(
            model_name='import',
            name='reported_at',
            field=models.BigIntegerField(blank=True, db_comment='UNIX seconds when the user was sent the outcome', null=True),
        ),
        migrations.AlterField(
            model_name='import',
            name='scheduled',
            field=models.BooleanField(db_comment='not asked for by the user: only an overridden rating is reported', db_default=False, default=False, verbose_name='by the clock'),
        ),
        migrations.AlterField(
            model_name='matchlink',
            name='token',
            field=models.CharField(db_comment='in the link; random', max_length=40, unique=True),
        ),
        migrations.AlterField(
            model_name='missingmovie',
            name='wanted',
            field=models.PositiveIntegerField(db_comment='how many movies lead to it', db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='pendingwrite',
            name='base',
            field=models.DecimalField(db_comment="TMDb's value when this was queued; NULL: it held none", decimal_places=1, max_digits=3, null=True),
        ),
        migrations.AlterField(
            model_name='pendingwrite',
            name='rating',
            field=models.DecimalField(db_comment='0.5-10.0; NULL: delete it', decimal_places=1, max_digits=3, null=True),
        ),
        migrations.AlterField(
            model_name='rating',
            name='seen_in_pass',
            field=models.BigIntegerField(blank=True, db_comment='Import.pass_id of the last pass over the account that found it', null=True),
        ),
        migrations.AlterField(
            model_name='tmdbrecommendationfetch',
            name='next_try_at',
            field=models.BigIntegerField(db_comment='UNIX seconds; where TMDb failed at this movie', db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='checked_at',
            field=models.BigIntegerField(db_comment='UNIX seconds when too little had changed for another run', db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='error',
            field=models.TextField(blank=True, db_comment='why it failed; empty: no error', db_default='', default=''),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='finished_at',
            field=models.BigIntegerField(blank=True, db_comment='UNIX seconds; NULL: in progress, or failed', null=True),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='movies',
            field=models.PositiveIntegerField(db_comment='movies that have neighbours', db_default=0, default=0, verbose_name='films with neighbours'),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='neighbours',
            field=models.PositiveIntegerField(db_comment='of all movies together', db_default=0, default=0, verbose_name='neighbours'),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='order_weight',
            field=models.FloatField(db_comment='0-1: how much the order in which users rate says; scoring needs it', db_default=0, default=0, verbose_name='how much the order of ratings says'),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='progress',
            field=models.TextField(blank=True, db_comment='the present step, in words', db_default='', default=''),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='ratings',
            field=models.PositiveIntegerField(db_comment='ratings of theirs', db_default=0, default=0, verbose_name='ratings of theirs'),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='triggered_by',
            field=models.TextField(blank=True, db_comment='a user name of the admin, the command line or the scheduler', db_default='', default=''),
        ),
        migrations.AlterField(
            model_name='trainingrun',
            name='users',
            field=models.PositiveIntegerField(db_comment='users of the bot who have rated', db_default=0, default=0, verbose_name='people of the bot'),
        ),
        migrations.RunPython(comment_similar_movies, migrations.RunPython.noop),
        migrations.RunPython(rename_permissions, restore_permissions),
        migrations.RunPython(rename_reader_state, restore_reader_state),
    ]
