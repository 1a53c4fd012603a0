"""The pages: each reads the view once and fills one template. Reading never changes anything."""

from typing import Any
from urllib.parse import quote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from alerts.charts import Spec, forecast_chart, incident_chart, spend_chart
from alerts.incidents import Incident
from alerts.matching import LABELS
from alerts.regret import in_words, sum_up
from alerts.scale_down import ActionStep, Mode
from console.auth import ConsoleAuth
from console.controls import Controls, may_approve, may_keep, may_undo
from console.overview import BudgetView
from console.render import Renderer, Theme
from console.templating import environment
from console.view import ConsoleView
from console.view_store import State
from detectors.findings import Kind

REFRESH_S = 15
STATES: dict[str, State | None] = {"": None, "open": "open", "resolved": "resolved"}
MOST_WOULD_STOPS = 100  # in the table
NEAR = 8  # charts of incidents on the first page
WIDE, NARROW, SMALL, LOW = 1060, 360, 420, 100  # pixels of charts


class Pages:
    """Everything that a person can look at."""

    def __init__(
        self,
        view: ConsoleView,
        auth: ConsoleAuth,
        renderer: Renderer,
        *,
        mode: Mode,
        controls: Controls | None,
        version: str,
    ) -> None:
        """Pages over this view. Without `controls` no button is shown."""
        self._view = view
        self._auth = auth
        self._renderer = renderer
        self._mode = mode
        self._controls = controls
        self._version = version
        self._templates = environment()

    def routes(self) -> list[Route]:
        """The routes of all pages and charts; every one of them only reads."""
        return [
            Route("/", self.overview),
            Route("/incidents", self.incidents),
            Route("/incidents/{incident_id}", self.incident),
            Route("/incidents/{incident_id}/chart.svg", self.incident_chart),
            Route("/actions", self.actions),
            Route("/silences", self.silences),
            Route("/api/silences", self.silences_json),
            Route("/charts/spend.svg", self.spend_chart),
            Route("/charts/budget.svg", self.budget_chart),
            Route("/api/overview", self.overview_json),
            Route("/api/incidents/{incident_id}", self.incident_json),
        ]

    def overview(self, request: Request) -> Response:
        """The first page."""
        return self._page(request, "overview.html", seen=self._view.overview(), near=NEAR)

    def incidents(self, request: Request) -> Response:
        """All incidents, filtered by `state` and `kind` in the URL."""
        asked = request.query_params.get("state") or ""
        kind = request.query_params.get("kind") or None
        if asked not in STATES or (kind is not None and kind not in list(Kind)):
            raise HTTPException(400, "state must be open or resolved, and kind one of: " + ", ".join(Kind))
        state = STATES[asked]
        found = self._view.incidents(state, kind)
        return self._page(request, "incidents.html", incidents=found, state=state, kind=kind, kinds=list(Kind))

    def incident(self, request: Request) -> Response:
        """One incident with its evidence, its chart and what was said and done about it."""
        incident = self._incident(request)
        notices = self._view.notices_of(incident.incident_id)
        changes = self._view.changes_near(incident)
        action = self._view.action_of(incident.incident_id)
        moments: list[tuple[Any, str, str]] = [
            (incident.began_at, "began", "the condition began in the data"),
            (incident.detected_at, "detected", "the incident was opened"),
        ]
        if incident.acknowledged_at is not None:
            moments.append((incident.acknowledged_at, "acknowledged", f"by {incident.acknowledged_by or 'someone'}"))
        if incident.snoozed_until is not None:
            moments.append((incident.snoozed_until, "snooze ends", f"set by {incident.snoozed_by or 'someone'}"))
        if incident.expected_at is not None:
            moments.append((incident.expected_at, "expected", f"said by {incident.expected_by or 'someone'}"))
        if incident.resolved_at is not None:
            moments.append((incident.resolved_at, "resolved", "the condition has ended"))
        moments += [
            (
                told.at,
                f"{told.channel}: {told.state}",
                f"{told.title} ({told.reason.replace('_', ' ')})"
                + (f"; held back: {told.hushed.replace('_', ' ')}" if told.hushed else ""),
            )
            for told in notices
        ]
        moments += [(change.at, f"change: {change.kind}", change.summary) for change in changes]
        if action is not None:
            for taken in self._view.steps_of(action.action_id):
                words = ", ".join(
                    filter(None, (taken.reason.replace("_", " "), taken.approved_by and f"by {taken.approved_by}"))
                )
                moments.append((taken.at, f"scale-down: {taken.step}", words or f"mode {action.mode}"))
        return self._page(
            request,
            "incident.html",
            incident=incident,
            moments=sorted(moments, key=lambda moment: moment[0]),
            changes=changes,
            action=action,
            can_hush=self._controls is not None and incident.resolved_at is None,
            can_acknowledge=self._controls is not None
            and incident.acknowledged_at is None
            and incident.resolved_at is None,
        )

    def actions(self, request: Request) -> Response:
        """Scale-downs: what is proposed, and what became of the others."""
        now = self._view.now()
        actions = self._view.actions()
        can = self._controls is not None
        stops = self._view.would_stops()
        return self._page(
            request,
            "actions.html",
            regret=in_words(sum_up(stops)),
            would_stops=stops[: -MOST_WOULD_STOPS - 1 : -1],
            waiting=[
                (action, can and may_approve(action, now), can and may_keep(action))
                for action in actions
                if may_keep(action)
            ],
            others=[(action, can and may_undo(action)) for action in actions if not may_keep(action)],
            paused=self._view.paused(),
            saved_usd_per_hour=sum(action.usd_per_hour for action in actions if action.step is ActionStep.VERIFIED),
        )

    def silences(self, request: Request) -> Response:
        """What is not told, and until when."""
        lasting, over = self._view.silences()
        return self._page(
            request, "silences.html", lasting=lasting, over=over, can=self._controls is not None, labels=LABELS
        )

    def silences_json(self, request: Request) -> Response:
        """The silences, for programs."""
        lasting, over = self._view.silences()
        return _json({"lasting": lasting, "over": over})

    def spend_chart(self, request: Request) -> Response:
        """Spend of the last two days, by team."""
        if _narrow(request):
            return self._chart(request, spend_chart(self._view.spend_hours(24), width=NARROW))
        return self._chart(request, spend_chart(self._view.spend_hours(), width=WIDE))

    def budget_chart(self, request: Request) -> Response:
        """One budget's month and its forecast; the budget is named by `name` in the URL."""
        budget = self._view.budget(request.query_params.get("name", ""))
        if budget is None:
            raise HTTPException(404, "there is no budget of this name")
        shown: BudgetView = next(one for one in self._view.overview().budgets if one.name == budget.name)
        return self._chart(
            request,
            forecast_chart(
                self._view.budget_series(budget),
                period_end=shown.period_end,
                p10_usd=shown.p10_usd,
                p50_usd=shown.p50_usd,
                p90_usd=shown.p90_usd,
                budget_usd=budget.usd_per_month,
                name=budget.name,
                width=NARROW if _narrow(request) else 560,
            ),
        )

    def incident_chart(self, request: Request) -> Response:
        """The spend of an incident's subject; `in=list` for the first page."""
        incident = self._incident(request)
        series = self._view.incident_series(incident)
        width = NARROW if _narrow(request) else WIDE
        if request.query_params.get("in") == "list":
            return self._chart(
                request, incident_chart(incident, series, width=min(SMALL, width), height=LOW, compact=True)
            )
        return self._chart(request, incident_chart(incident, series, width=width))

    def overview_json(self, request: Request) -> Response:
        """What the first page shows, for programs."""
        return _json(self._view.overview())

    def incident_json(self, request: Request) -> Response:
        """One incident, for programs."""
        return _json(self._incident(request))

    def login(self, request: Request, status: int, what: str) -> Response:
        """What a browser without a session sees. One that follows a link from elsewhere is sent on by ourselves."""
        came = status == 401 and not what and request.headers.get("sec-fetch-site") == "cross-site"
        return self._page(request, "login.html", status, what=what, came_from_elsewhere=came)

    def problem(self, request: Request, status: int, what: str) -> Response:
        """A page that says what is wrong."""
        if request.scope["path"].startswith("/api/"):
            return _json({"error": what}, status)
        return self._page(request, "problem.html", status, status=status, what=what)

    def back_to(self, path: str) -> Response:
        """After a change: look at the result."""
        self._view.forget()
        return RedirectResponse(path, 303)

    def _incident(self, request: Request) -> Incident:
        incident = self._view.incident(request.path_params["incident_id"])
        if incident is None:
            raise HTTPException(404, "there is no incident of this id")
        return incident

    def _chart(self, request: Request, spec: Spec) -> Response:
        theme: Theme = "dark" if request.query_params.get("theme") == "dark" else "light"
        return Response(self._renderer.svg(spec, theme), media_type="image/svg+xml")

    def _page(self, request: Request, template: str, http_status: int = 200, /, **values: object) -> Response:
        session = request.scope["state"].get("session")
        common = {
            "here": request.scope["path"],
            "csrf": "" if session is None else self._auth.csrf(session),
            "signed_in": session is not None and not self._auth.off,
            "mode": self._mode,
            "now": self._view.now(),
            "version": self._version,
            "refresh_s": REFRESH_S,
            "urlquote": lambda text: quote(text, safe=""),
        }
        return HTMLResponse(self._templates.get_template(template).render(common | values), http_status)


def _narrow(request: Request) -> bool:
    return request.query_params.get("size") == "narrow"


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
