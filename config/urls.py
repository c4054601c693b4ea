"""Every address of the site, in the order in which they are tried."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

token_patterns = [
    path("token/", TokenObtainPairView.as_view(), name="token"),
    path("token/refresh/", TokenRefreshView.as_view(), name="token_refresh"),
]

# The app routes in the browser: a link into it must load the same page.
app_shell = TemplateView.as_view(template_name="app.html")

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="app"), name="home"),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}lro/icon.svg")),
    path("admin/", admin.site.urls),
    path("auth/", include((token_patterns, "auth"))),
    path("app/", app_shell, name="app"),
    path("app/<path:deep_link>", app_shell),
    path("uploads/", include("uploads.urls")),
    path("", include("lro.transports.rest.urls")),
]
