from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("rule-sets/", views.RuleSetListView.as_view(), name="rule-sets"),
    path("rule-sets/<uuid:pk>", views.RuleSetView.as_view(), name="rule-set"),
    path("rule-sets/<uuid:pk>/versions/", views.VersionListView.as_view(), name="rule-set-versions"),
]
