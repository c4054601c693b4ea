from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("", views.MigrationListView.as_view(), name="migrations"),
    path("plans/<str:name>", views.PlanView.as_view(), name="migration-plan"),
    path("runs/<uuid:pk>/confirm-code", views.ConfirmCodeView.as_view(), name="migration-confirm-code"),
]
