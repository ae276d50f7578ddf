from django.contrib import admin
from django.urls import path

from config import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("telegram/webhook/", views.telegram_webhook, name="webhook"),
]
