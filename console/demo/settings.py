"""The settings of the demo: prices, budgets, and stand-ins for Slack and the receiver of scale-downs."""

from pathlib import Path

from console.settings import Settings, parse_settings
from console.settings_sources import Sources

CONFIG = """
prices:
  gpu:
    - {model: "*H100*", usd_per_hour: 4.00, from: 2026-01-01}
    - {model: "*A100*", usd_per_hour: 2.20, from: 2026-01-01}
    - {model: "*L40S*", usd_per_hour: 1.20, from: 2026-01-01}
    - {model: "*L4*", usd_per_hour: 0.70, from: 2026-01-01}
  tokens:
    - {provider: self-hosted, model: llama-3.3-70b, from: 2026-01-01,
       input_usd_per_million: 0, output_usd_per_million: 0}
    - {provider: self-hosted, model: mixtral-8x22b, from: 2026-01-01,
       input_usd_per_million: 0, output_usd_per_million: 0}
budgets:
  - {name: search, match: {team: search}, usd_per_month: 31000}
  - {name: vision, match: {team: vision}, usd_per_month: 60000}
  - {name: support, match: {team: support}, usd_per_month: 9000}
channels:
  - {type: terminal, name: terminal}
  - {type: slack, name: slack, channel: C0DEMO, token: "${env:EMBERWATCH_DEMO_TOKEN}", base_url: "%(slack)s"}
default_route: [terminal, slack]
digest: {to: [slack]}
scale_down:
  mode: propose
  selector: ["kind=idle", "team=vision"]
  target: {type: webhook, url: "%(receiver)s", secret: "${env:EMBERWATCH_DEMO_SECRET}", allow_insecure_loopback: true}
  warn_after: 30m
  propose_after: 45m
  warning_lead: 0s                # so that an approval can be watched at work; the default is 15m
  max_gpu_ratio_per_hour: 0.25    # the fleet is small
  max_gpu_ratio_per_day: 0.25
stream: {allowed_lateness: 0s}    # nothing comes late here, and it can be watched; the default is 2m
store: {data_dir: "%(data_dir)s"}
console: {port: %(port)d}
"""


def demo_settings(*, slack: str, receiver: str, data_dir: Path, port: int, token: str, secret: str) -> Settings:
    """The demo's config, checked like any other."""
    text = CONFIG % {"slack": slack, "receiver": receiver, "data_dir": data_dir, "port": port}
    environ = {"EMBERWATCH_DEMO_TOKEN": token, "EMBERWATCH_DEMO_SECRET": secret}
    return parse_settings(text, "demo", Sources(data_dir, environ))
