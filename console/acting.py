"""What carries scale-downs out, and when none may be, as the config names it."""

from pathlib import Path

from alerts.freezes import Freeze
from alerts.secrets import Secret
from alerts.targets.kubernetes import KubernetesTarget
from alerts.targets.webhook import WebhookTarget
from console import settings_scale_down as acts
from console.settings import Settings
from console.settings_errors import Problem, SettingsError


def scale_down_target(settings: Settings, link_base: str | None) -> WebhookTarget | KubernetesTarget | None:
    """What carries scale-downs out, None where nothing does. Raises SettingsError for what can't be used."""
    wanted = settings.scale_down.target
    if isinstance(wanted, acts.KubernetesTarget):
        try:
            return KubernetesTarget(
                cluster=wanted.cluster,
                namespaces=wanted.namespaces,
                kinds=wanted.kinds,
                gitops_too=wanted.gitops_too,
                url=wanted.url,
                token_file=wanted.token_file,
                ca_file=wanted.ca_file,
            )
        except OSError as error:
            raise SettingsError([_unreadable(wanted.ca_file, error)]) from None
    if wanted is None:
        return None
    assert wanted.secret is not None
    return WebhookTarget(
        url=wanted.url.get_secret_value(),
        secrets=(Secret(wanted.secret.get_secret_value()),),
        link_base=link_base,
        allow_insecure_loopback=wanted.allow_insecure_loopback,
    )


def freezes(settings: Settings) -> tuple[Freeze, ...]:
    """When nothing is stopped."""
    return tuple(
        Freeze(since=row.since, until=row.until, days=row.days, begins=row.begins, ends=row.ends, timezone=row.timezone)
        for row in settings.scale_down.freeze
    )


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(
        file="",
        line=None,
        column=None,
        option="scale_down.target.ca_file",
        got=f"{path}: {error.strerror or 'no certificate in it'}",
        meant="a PEM file of the API server's authority",
    )
