"""Metrics as Prometheus reads them, in the format that it asks for."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response


def metrics_answer(request: Request, registry: CollectorRegistry) -> Response:
    """The present values of a registry."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"content-type": content_type})
