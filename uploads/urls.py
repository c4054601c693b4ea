from __future__ import annotations

from django.urls import path

from . import resumable_views, views

urlpatterns = [
    path("limits", views.LimitsView.as_view(), name="upload-limits"),
    path("files/", resumable_views.UploadListView.as_view(), name="resumable-uploads"),
    path("files/<uuid:pk>", resumable_views.UploadView.as_view(), name="resumable-upload"),
    path("datasets/", views.DatasetListView.as_view(), name="datasets"),
    path("datasets/<uuid:pk>", views.DatasetView.as_view(), name="dataset"),
    path("datasets/<uuid:pk>/rows", views.DatasetRowsView.as_view(), name="dataset-rows"),
    path("datasets/<uuid:pk>/download", views.DatasetDownloadView.as_view(), name="dataset-download"),
    path("imports/<uuid:pk>/rejects.csv", views.RepairView.as_view(), name="import-repair"),
]
