"""Films in the back office."""

from django.contrib import admin
from django.utils.translation import gettext_lazy, ngettext
from django_q.tasks import async_task

from config.lists import BigTablePaginator, moment, nobody, word
from movies.models import Movie, PosterStatus, searchable

TONES = {
    PosterStatus.NONE: "idle",
    PosterStatus.WAITING: "busy",
    PosterStatus.LOCAL: "busy",
    PosterStatus.TELEGRAM: "good",
}


@admin.register(Movie)
class MovieAdmin(admin.ModelAdmin):
    list_display = ("id", "film", "year", "poster", "poster_attempts", "poster_error", "metadata_read")
    list_display_links = ("id", "film")
    list_filter = ("poster_status",)
    search_fields = ("search_text",)
    search_help_text = gettext_lazy("words of the title, in any script and case, or a TMDb id")
    ordering = ("-id",)
    sortable_by = ("id",)
    paginator = BigTablePaginator
    show_full_result_count = False
    actions = ("requeue_posters",)
    fields = (
        "id",
        "title",
        "original_title",
        "overview",
        "release_date",
        "runtime",
        "popularity",
        "vote_average",
        "vote_count",
        "poster",
        "poster_attempts",
        "poster_error",
        "next_try",
        "metadata_read",
    )
    has_add_permission = has_change_permission = has_delete_permission = nobody

    def has_act_permission(self, request):
        return request.user.has_perm("movies.change_movie")

    def get_search_results(self, request, queryset, search_term):
        """Films whose titles hold all the words, and the one with this id: SQLite's own LIKE folds only ASCII."""
        words = searchable(search_term).split()
        found = queryset
        for part in words:
            found = found.filter(search_text__contains=part)
        if len(words) == 1 and words[0].isdecimal() and len(words[0]) < 10:
            found |= queryset.filter(pk=int(words[0]))
        return found, False

    @admin.display(description=gettext_lazy("title"))
    def film(self, movie):
        return movie.title or movie.original_title

    @admin.display(description=gettext_lazy("poster"))
    def poster(self, movie):
        return word(TONES[movie.poster_status], movie.get_poster_status_display())

    @admin.display(description=gettext_lazy("next try"))
    def next_try(self, movie):
        return moment(movie.poster_next_try_at)

    @admin.display(description=gettext_lazy("metadata read"))
    def metadata_read(self, movie):
        return moment(movie.details_at)

    @admin.action(description=gettext_lazy("Queue the poster again"), permissions=["act"])
    def requeue_posters(self, request, films):
        count = films.order_by().requeue_posters()
        async_task("posters.tasks.download_posters")
        self.message_user(request, ngettext("%d poster queued.", "%d posters queued.", count) % count)
