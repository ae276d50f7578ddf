"""People in the back office. The TMDb session never leaves the table: no page here reads it."""

from django.contrib import admin
from django.utils.translation import gettext_lazy, ngettext
from django_q.tasks import async_task

from config.lists import BigTablePaginator, moment, nobody, word
from users.models import SyncStatus, User

TONES = {
    SyncStatus.FAILED: "bad",
    SyncStatus.NOT_CONNECTED: "idle",
    SyncStatus.QUEUED: "busy",
    SyncStatus.IMPORTED: "good",
}


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("telegram_user_id", "state", "sync_error", "last_import", "ratings_count", "tmdb_account_id")
    list_filter = ("sync_status",)
    search_fields = ("telegram_user_id",)
    search_help_text = gettext_lazy("a Telegram or TMDb account id")
    ordering = ("-telegram_user_id",)
    sortable_by = ("telegram_user_id",)
    paginator = BigTablePaginator
    show_full_result_count = False
    actions = ("import_again",)
    fields = (
        "telegram_user_id",
        "state",
        "sync_error",
        "last_import",
        "ratings_count",
        "tmdb_account_id",
        "language",
        "writes_ratings",
        "blocked_since",
    )
    has_add_permission = has_change_permission = has_delete_permission = nobody

    def has_act_permission(self, request):
        return request.user.has_perm("users.change_user")

    def get_queryset(self, request):
        return super().get_queryset(request).defer("tmdb_session_id")

    def get_search_results(self, request, queryset, search_term):
        """The person with this Telegram or TMDb id."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if not term.isdecimal() or len(term) > 18:
            return queryset.none(), False
        return queryset.filter(pk=int(term)) | queryset.filter(tmdb_account_id=int(term)), False

    @admin.display(description=gettext_lazy("state"))
    def state(self, person):
        return word(TONES[person.sync_status], person.get_sync_status_display())

    @admin.display(description=gettext_lazy("last import"))
    def last_import(self, person):
        return moment(person.last_sync_at)

    @admin.display(description=gettext_lazy("blocked the bot"))
    def blocked_since(self, person):
        return moment(person.blocked_at)

    @admin.action(description=gettext_lazy("Import again"), permissions=["act"])
    def import_again(self, request, people):
        count = people.order_by().queue_import()
        async_task("ratings.tasks.import_ratings")
        self.message_user(request, ngettext("%d import queued.", "%d imports queued.", count) % count)
