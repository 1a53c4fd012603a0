"""Takes what has the shape of a secret out of text, before anyone reads it."""

import re

HIDDEN = "[hidden]"

_SHAPES = re.compile(
    r"""
      xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]+                       # Slack tokens
    | xapp-[A-Za-z0-9-]+                                          # Slack app tokens
    | whsec_[A-Za-z0-9+/=_-]+                                     # Standard Webhooks keys
    | (?<=hooks\.slack\.com/)[^\s"'<>]+                           # the path of a Slack webhook is its password
    | (?<=hooks\.slack-gov\.com/)[^\s"'<>]+
    | (?<=://)[^\s/@:"'<>]*:[^\s/"'<>]+(?=@)                      # user:password in an address
    | (?i:(?<=bearer\ )|(?<=basic\ ))[A-Za-z0-9+/=._~-]{8,}       # Authorization values
    | -----BEGIN[ A-Z]*PRIVATE\ KEY-----.*?-----END[ A-Z]*PRIVATE\ KEY-----
    """,
    re.VERBOSE | re.DOTALL,
)
_AUTHORIZATION = re.compile(
    r"""(?i)(authorization["']?\s*[:=]\s*["']?)(?!\[hidden\])(?:(?:bearer|basic|token)\s+)?[^\s"',}\]]+"""
)
_ASSIGNED = re.compile(
    r"""(?i)((?:token|password|passwd|secret|api_key|apikey|routing_key)["']?\s*[=:]\s*["']?)(?!\[hidden\])[^\s"',&}\]]+"""
)
_NAMES = re.compile(r"(?i)(?:^|[_-])(?:token|password|passwd|secret|authorization|cookie|api_?key|routing_key)$")


def redact(text: str) -> str:
    """The text with every known shape of a secret replaced by `[hidden]`."""
    text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    text = _SHAPES.sub(HIDDEN, text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def names_a_secret(name: str) -> bool:
    """Whether a field of this name holds a secret, whatever the shape of its value."""
    return _NAMES.search(name) is not None
