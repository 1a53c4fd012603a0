"""The console's app for tests: the fleet, a token, buttons that write down what was asked of them."""

from dataclasses import dataclass, field

from starlette.testclient import TestClient

from alerts.scale_down import Mode
from console.auth import COOKIE, ConsoleAuth
from console.view import ConsoleView
from console.web import build_app
from streams.health import Health
from streams.metrics import Metrics
from tests.console.fleet import BUDGETS, NOW, fleet

TOKEN = "correct-horse-battery-staple"
INGEST_TOKEN = "only-for-delivering-events"
BEARER = {"authorization": f"Bearer {TOKEN}"}
OURS = {"sec-fetch-site": "same-origin"}


@dataclass
class Pressed:
    """Buttons that remember; `answer` is what they say."""

    answer: bool = True
    log: list[tuple[str, str, str]] = field(default_factory=list)

    def acknowledge(self, incident_id: str, by: str) -> bool:
        self.log.append(("acknowledge", incident_id, by))
        return self.answer

    def approve(self, action_id: str, by: str) -> bool:
        self.log.append(("approve", action_id, by))
        return self.answer

    def keep(self, action_id: str, by: str) -> bool:
        self.log.append(("keep", action_id, by))
        return self.answer

    def undo(self, action_id: str, by: str) -> bool:
        self.log.append(("undo", action_id, by))
        return self.answer


class House:
    """Everything that a test of the console wants to reach."""

    def __init__(self, token: str | None = TOKEN, mode: Mode = Mode.PROPOSE, **more) -> None:
        self.now_s = 1_800_000_000.0
        self.store = more.pop("store", None) or fleet()
        self.pressed = Pressed()
        self.health = Health()
        self.metrics = Metrics("0.1.0")
        self.auth = ConsoleAuth(
            token, ingest_token=INGEST_TOKEN, clock=lambda: self.now_s, metrics_open=more.pop("metrics_open", False)
        )
        self.app = build_app(
            ConsoleView(self.store, more.pop("budgets", BUDGETS), clock=lambda: NOW),
            self.auth,
            health=self.health,
            registry=self.metrics.registry,
            mode=mode,
            controls=more.pop("controls", self.pressed),
            version="0.1.0",
            **more,
        )

    def stranger(self) -> TestClient:
        """A client without a session."""
        return TestClient(self.app, base_url="http://127.0.0.1:8787", follow_redirects=False)

    def browser(self) -> TestClient:
        """A browser that has shown the token."""
        client = self.stranger()
        client.cookies.set(COOKIE, self.auth.open_session(), domain="127.0.0.1")
        return client

    def csrf(self, client: TestClient) -> str:
        """What the forms on this client's pages bear."""
        return self.auth.csrf(client.cookies[COOKIE])
