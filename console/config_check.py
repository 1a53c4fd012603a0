"""What a config would do, in words and as data; secrets are left out."""

from datetime import time, timedelta
from typing import Any

import msgspec
from pydantic.json_schema import GenerateJsonSchema

from console.settings import Settings
from console.settings_errors import SettingsError
from console.settings_types import duration_text


class _Schema(GenerateJsonSchema):
    """A schema whose defaults are written as the config file writes them."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return duration_text(dft)
        return f"{dft:%H:%M}" if isinstance(dft, time) else super().encode_default(dft)


def summary(settings: Settings) -> dict[str, Any]:
    """What the settings would do, as plain data without secrets."""
    return {
        "ok": True,
        "prices": {"gpu": len(settings.prices.gpu), "tokens": len(settings.prices.tokens)},
        "budgets": [{"name": row.name, "usd_per_month": float(row.usd_per_month)} for row in settings.budgets],
        "attribution_rules": len(settings.attribution),
        "channels": [{"name": channel.name, "type": channel.type} for channel in settings.channels],
        "routes": [
            {"match": ["".join(parts) for parts in route.match], "to": list(route.to), "continue": route.continue_}
            for route in settings.routes
        ],
        "default_route": list(settings.default_route),
        "digest": _digest(settings),
        "scale_down": {"mode": settings.scale_down.mode, "may": _scale_down(settings)},
        "store": settings.store.address.get_secret_value().partition(":")[0].partition("+")[0],
        "console": f"http://{_host(settings.console.host)}:{settings.console.port}",
    }


def as_text(found: dict[str, Any], file: str) -> str:
    """A summary as a person reads it."""
    prices, routes = found["prices"], found["routes"]
    lines = [
        f"{file}: OK",
        f"  prices      {_count(prices['gpu'], 'accelerator row')}, {_count(prices['tokens'], 'token row')}",
        f"  budgets     {', '.join(_budget(row) for row in found['budgets']) or 'none'}",
        f"  owners      {_count(found['attribution_rules'], 'rule')}",
        f"  channels    {', '.join(_channel(row) for row in found['channels'])}",
    ]
    for index, route in enumerate(routes):
        match = " and ".join(route["match"]) or "everything"
        onward = ", and on" if route["continue"] else ""
        lines.append(f"  {'routes' if index == 0 else '':<12}{match} -> {', '.join(route['to'])}{onward}")
    lines += [
        f"  {'' if routes else 'routes':<12}everything else -> {', '.join(found['default_route'])}",
        f"  digest      {found['digest'] or 'none'}",
        f"  scale-down  {found['scale_down']['may']}",
        f"  store       {found['store']}",
        f"  console     {found['console']}",
    ]
    return "\n".join(lines)


def problems_as_data(error: SettingsError) -> dict[str, Any]:
    """All faults of a config, as plain data."""
    return {"ok": False, "problems": [msgspec.structs.asdict(problem) for problem in error.problems]}


def schema() -> dict[str, Any]:
    """The JSON schema of the config file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(schema_generator=_Schema),
    }


def _digest(settings: Settings) -> str | None:
    digest = settings.digest
    if not digest.active:
        return None
    return f"{digest.day} {digest.at:%H:%M} {digest.timezone} -> {', '.join(digest.to)}"


def _scale_down(settings: Settings) -> str:
    scale_down = settings.scale_down
    if scale_down.mode == "observe":
        return "observe: records what it would do, and stops nothing"
    what = " and ".join("".join(parts) for parts in scale_down.selector)
    spared = f", never {', '.join(scale_down.protected)}" if scale_down.protected else ""
    if scale_down.mode == "propose":
        return f"propose: asks a person after {duration_text(scale_down.propose_after)} idle, on {what}{spared}"
    return (
        f"auto: warns after {duration_text(scale_down.warn_after)} idle, stops after "
        f"{duration_text(scale_down.act_after)}, at most {scale_down.max_per_hour} an hour, on {what}{spared}"
    )


def _budget(row: dict[str, Any]) -> str:
    return f"{row['name']} (${row['usd_per_month']:,.2f} a month)"


def _channel(row: dict[str, Any]) -> str:
    return f"{row['name']} ({row['type']})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
