from django.contrib import admin
from django.urls import path

from config.bot import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path(views.WEBHOOK.lstrip("/"), views.telegram_webhook, name="webhook"),
]
