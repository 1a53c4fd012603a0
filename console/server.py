"""The console on a port: uvicorn with the settings that keep tokens out of logs and a flood of connections bounded."""

import uvicorn
from starlette.types import ASGIApp

CONNECTIONS = 512  # at a time; more are answered 503
KEEP_ALIVE_S = 15
SHUTDOWN_S = 5


def server(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    """A server that is ready to `run()` (also in a thread) or to be awaited with `serve()`."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=False,  # the first address that is opened bears the token
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
            lifespan="off",
        )
    )


def address(host: str, port: int, token: str | None = None) -> str:
    """What a person opens: with the token where there is one. To be printed, never to be logged."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
