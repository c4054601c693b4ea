"""Socket.IO to its server, other HTTP to Django, other WebSockets to Channels."""

import os
import warnings

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# WhiteNoise hands out static files as plain iterators; they are small, and read in one go.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

# Django has to be set up before anything that imports models.
django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from lro.transports.socketio.server import with_socketio  # noqa: E402
from lro.transports.websocket.routing import websocket_urlpatterns  # noqa: E402
from uploads.bodies import leave_body  # noqa: E402
from uploads.receiving import limit_body  # noqa: E402

application = with_socketio(
    ProtocolTypeRouter(
        {
            "http": leave_body(django_application, others=limit_body(django_application)),
            "websocket": URLRouter(websocket_urlpatterns),  # type: ignore[arg-type]  # a class that only the stubs have
        }
    )
)
