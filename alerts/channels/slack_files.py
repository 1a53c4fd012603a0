"""A picture for the thread of a Slack message, in the three steps that Slack wants. One that fails is left out."""

import http.client
import re
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from alerts.incidents import Incident
from alerts.titles import title, where
from alerts.wording import clean

LOOPBACK = ("127.0.0.1", "localhost", "::1")
UPLOAD_S = 10.0


def upload(client: WebClient, reference: str, incident: Incident, picture: bytes) -> str:
    """Put a PNG into the thread of the message `channel:ts`; say what kept it from that, "" where nothing did."""
    channel, _, ts = reference.partition(":")
    alt = clean(f"Spend of {where(incident)} around the incident", 1000)
    try:
        asked = {"filename": f"{incident.incident_id}.png", "length": len(picture), "alt_txt": alt}
        place = client.api_call("files.getUploadURLExternal", data=asked)
        _put(str(place["upload_url"]), picture, local=urlsplit(client.base_url).hostname in LOOPBACK)
        files = [{"id": place["file_id"], "title": clean(title(incident), 200)}]
        done = {"files": files, "channel_id": channel, "thread_ts": ts}
        client.api_call("files.completeUploadExternal", json=done)
    except SlackApiError as error:
        data = getattr(error.response, "data", None)
        said = data.get("error") if isinstance(data, dict) else None
        return f"no picture: {said if isinstance(said, str) and re.fullmatch(r'[a-z_]{1,64}', said) else 'refused'}"
    except (OSError, http.client.HTTPException, SlackClientError, KeyError) as error:
        return f"no picture ({type(error).__name__})"
    return ""


def _put(url: str, picture: bytes, *, local: bool) -> None:
    """Send the bytes to where Slack wants them: a place of its own, over TLS. Raises OSError."""
    parts = urlsplit(url)
    here = local and parts.scheme == "http" and parts.hostname in LOOPBACK
    if not here and not (parts.scheme == "https" and (parts.hostname or "").endswith(".slack.com")):
        raise OSError("the upload address is not Slack's")
    maker = http.client.HTTPConnection if here else http.client.HTTPSConnection
    connection = maker(parts.netloc, timeout=UPLOAD_S)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request("POST", path, picture, {"Content-Type": "application/octet-stream"})
        if (status := connection.getresponse().status) != 200:
            raise OSError(f"the upload was answered {status}")
    finally:
        connection.close()
