"""Every address of the site, in the order in which they are tried."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView
from drf_spectacular.utils import extend_schema, extend_schema_view
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.serializers import Serializer
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from lro.transports.rest.documented import problems
from lro.transports.websocket.views import RealtimeSchemaView


def documented(view: Any, operation_id: str, summary: str, serializer: type[Serializer[Any]]) -> Any:
    """`view`, about which the schema says what its package leaves out."""
    responses = {200: serializer, **problems(400, 401)}
    call = extend_schema(operation_id=operation_id, summary=summary, description="", responses=responses)
    return extend_schema_view(post=call)(view).as_view()


obtain = documented(TokenObtainPairView, "obtain_token", "Log in", TokenObtainPairSerializer)
refresh = documented(TokenRefreshView, "refresh_token", "Go on being logged in", TokenRefreshSerializer)
token_patterns = [path("token/", obtain, name="token"), path("token/refresh/", refresh, name="token_refresh")]

# Swagger as it comes has a style in the page, which our policy forbids.
swagger = SpectacularSwaggerSplitView.as_view(template_name="docs/swagger.html")

# The app routes in the browser: a link into it must load the same page.
app_shell = TemplateView.as_view(template_name="app.html")

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="app"), name="home"),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}lro/icon.svg")),
    path("admin/", admin.site.urls),
    path("auth/", include((token_patterns, "auth"))),
    path("app/", app_shell, name="app"),
    path("app/<path:deep_link>", app_shell),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("schema/realtime/", RealtimeSchemaView.as_view(), name="realtime-schema"),
    path("docs/", swagger, name="docs"),
    path("docs/realtime/", TemplateView.as_view(template_name="docs/realtime.html"), name="realtime-docs"),
    path("uploads/", include("uploads.urls")),
    path("validations/", include("validations.urls")),
    path("migrations/", include("migrations_app.urls")),
    path("calculations/", include("calculations.urls")),
    path("", include("lro.transports.rest.urls")),
]
