from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("limits", views.LimitsView.as_view(), name="upload-limits"),
    path("datasets/", views.DatasetListView.as_view(), name="datasets"),
    path("datasets/<uuid:pk>", views.DatasetView.as_view(), name="dataset"),
]
