from __future__ import annotations

from django.urls import path

from . import health, live, metrics, views

urlpatterns = [
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("metrics", metrics.MetricsView.as_view(), name="metrics"),
    path("operations/", views.OperationListView.as_view(), name="operations"),
    path("operations/<uuid:pk>", live.operation, name="operation"),
    path("operations/<uuid:pk>/events/", live.events, name="operation-events"),
    path("operations/<uuid:pk>/rejects/", views.RejectListView.as_view(), name="operation-rejects"),
    path("operations/<uuid:pk>/children/", views.ChildListView.as_view(), name="operation-children"),
    path("operations/<uuid:pk>/artifacts/", views.ArtifactListView.as_view(), name="operation-artifacts"),
    path("operations/<uuid:pk>/artifacts/<uuid:artifact>", views.ArtifactView.as_view(), name="operation-artifact"),
    *(
        path(f"operations/<uuid:pk>/{verb}", views.VerbView.as_view(verb=verb), name=f"operation-{verb}")
        for verb in ("cancel", "pause", "resume", "retry")
    ),
    path("<slug:module>/<slug:operation>", live.start, name="start"),
]
