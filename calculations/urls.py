from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("<uuid:pk>/stop", views.StopView.as_view(), name="calculation-stop"),
    path("<uuid:pk>/table", views.TableView.as_view(), name="calculation-table"),
]
