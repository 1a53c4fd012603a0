"""A Slack that keeps the Web API's documented rules: tokens, channels, limits, rates, threads, metadata."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from console.fakes.server import Answer, LocalServer, json_answer
from console.fakes.slack_rules import fault, view_fault

CHANNEL = "C0AIINFRA"
TRIGGER_S = 3.0  # a trigger id is good for so long


class Posted(Struct, kw_only=True):
    """A message as people see it now, and as it was before each edit."""

    ts: str
    channel: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any] | None = None
    thread_ts: str | None = None
    broadcast: bool = False
    edits: list[dict[str, Any]] = []  # {text, blocks} before each edit, oldest first


class FakeSlack(LocalServer):
    """Keeps `messages` in the order in which they were posted.

    `channels` maps each channel's id to its name; with `enforce_rate` a channel takes one message a second.
    """

    def __init__(
        self,
        *,
        token: str = "xoxb-fake-token",
        channels: Mapping[str, str] | None = None,
        enforce_rate: bool = False,
        clock: Callable[[], float] = time.monotonic,
        on_message: Callable[[Posted], None] | None = None,
    ) -> None:
        super().__init__()
        self.token = token
        self.channels = dict(channels or {CHANNEL: "ai-infra"})
        self.messages: list[Posted] = []
        self.calls: list[str] = []
        self.app_token = "xapp-fake-token"
        self.socket_url: str | None = None  # of a server for Socket Mode; None: the app has it turned off
        self.whispers: list[tuple[str, str]] = []  # user and text
        self.views: list[dict[str, Any]] = []
        self.triggers: dict[str, float] = {}  # by id: when it was given out
        self.files: dict[str, dict[str, Any]] = {}  # by id: length, body, and where it was shared
        self._enforce_rate = enforce_rate
        self._clock = clock
        self._on_message = on_message
        self._last_post_s: dict[str, float] = {}

    @property
    def base_url(self) -> str:
        """What a client takes for `https://slack.com/api/`."""
        return f"{self.url}/api/"

    def parents(self) -> list[Posted]:
        """What stands in the channels: no replies."""
        with self.lock:
            return [m for m in self.messages if m.thread_ts is None]

    def replies(self, ts: str) -> list[Posted]:
        """What was said in the thread of a message."""
        with self.lock:
            return [m for m in self.messages if m.thread_ts == ts]

    def failed(self, kind: str) -> Answer | None:
        """`ok_false:ERROR` answers 200 with the error, as Slack does; `429:SECONDS` as Slack words it."""
        name, _, given = kind.partition(":")
        if name == "ok_false":
            return json_answer({"ok": False, "error": given})
        if name == "429":
            return _limited(given)
        return None

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One call of the Web API."""
        parts = urlsplit(path)
        if parts.path.startswith("/upload/"):
            return self._uploaded(parts.path.removeprefix("/upload/"), body)
        name = parts.path.removeprefix("/api/")
        self.calls.append(name)
        call = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.postEphemeral": self._whisper,
            "views.open": self._open_view,
            "files.getUploadURLExternal": self._upload_place,
            "files.completeUploadExternal": self._upload_done,
            "apps.connections.open": self._socket,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
        }.get(name)
        if call is None:
            return _error("unknown_method")
        given = headers.get("authorization", "")
        if not given:
            return _error("not_authed")
        wanted = self.app_token if name == "apps.connections.open" else self.token
        if given != f"Bearer {wanted}":
            return _error("invalid_auth")
        args: dict[str, Any] = dict(parse_qsl(parts.query))
        if headers.get("content-type", "").startswith("application/json"):
            try:
                args |= json.loads(body)
            except (ValueError, TypeError):
                return _error("invalid_json")
        else:
            args |= dict(parse_qsl(body.decode(errors="replace")))
        return call(args)

    def _auth_test(self, args: dict[str, Any]) -> Answer:
        return json_answer({"ok": True, "url": self.url, "team": "fake", "user": "emberwatch", "bot_id": "B0FAKE"})

    def _post(self, args: dict[str, Any]) -> Answer:
        channel = self._channel(args)
        if channel is None:
            return _error("channel_not_found")
        if self._enforce_rate:
            now_s = self._clock()
            if now_s - self._last_post_s.get(channel, -1e9) < 1.0:
                return _limited("1")
            self._last_post_s[channel] = now_s
        if wrong := fault(args):
            return _error(wrong)
        thread_ts = args.get("thread_ts")
        if thread_ts is not None and self._find(channel, thread_ts) is None:
            return _error("thread_not_found")
        message = Posted(
            ts=self._next_ts(),
            channel=channel,
            text=args.get("text") or "",
            blocks=args.get("blocks") or [],
            metadata=args.get("metadata"),
            thread_ts=thread_ts,
            broadcast=bool(args.get("reply_broadcast")) and thread_ts is not None,
        )
        self.messages.append(message)
        if self._on_message is not None:
            self._on_message(message)
        return json_answer({"ok": True, "channel": channel, "ts": message.ts, "message": _shown(message, False)})

    def _update(self, args: dict[str, Any]) -> Answer:
        channel = self._channel(args)
        if channel is None:
            return _error("channel_not_found")
        message = self._find(channel, args.get("ts"))
        if message is None:
            return _error("message_not_found")
        if wrong := fault(args):
            return _error(wrong)
        message.edits.append({"text": message.text, "blocks": message.blocks})
        message.text, message.blocks = args.get("text") or "", args.get("blocks") or []
        message.metadata = args.get("metadata", message.metadata)
        return json_answer({"ok": True, "channel": channel, "ts": message.ts, "text": message.text})

    def trigger(self) -> str:
        """A trigger id as a press has it: good for three seconds, and for one dialog."""
        with self.lock:
            name = f"{len(self.triggers) + 1}.fake"
            self.triggers[name] = self._clock()
            return name

    def _whisper(self, args: dict[str, Any]) -> Answer:
        if self._channel(args) is None:
            return _error("channel_not_found")
        if not args.get("text"):
            return _error("no_text")
        if not str(args.get("user") or "").startswith(("U", "W")):
            return _error("user_not_in_channel")
        self.whispers.append((args["user"], args["text"]))
        return json_answer({"ok": True, "message_ts": self._next_ts()})

    def _open_view(self, args: dict[str, Any]) -> Answer:
        given_s = self.triggers.pop(str(args.get("trigger_id")), None)
        if given_s is None:
            return _error("invalid_trigger_id")
        if self._clock() - given_s > TRIGGER_S:
            return _error("expired_trigger_id")
        if wrong := view_fault(args.get("view")):
            return _error(wrong)
        self.views.append(args["view"])
        return json_answer({"ok": True, "view": {"id": f"V{len(self.views)}"}})

    def _upload_place(self, args: dict[str, Any]) -> Answer:
        if not args.get("filename") or not str(args.get("length") or "").isdigit() or int(args["length"]) < 1:
            return _error("invalid_arguments")
        name = f"F{len(self.files) + 1:08d}"
        self.files[name] = {"name": args["filename"], "length": int(args["length"]), "body": None, "shared": None}
        return json_answer({"ok": True, "upload_url": f"{self.url}/upload/{name}", "file_id": name})

    def _uploaded(self, name: str, body: bytes) -> Answer:
        if name not in self.files or len(body) != self.files[name]["length"]:
            return Answer(status=400, body=b"wrong length")
        self.files[name]["body"] = body
        return Answer(body=b"OK")

    def _upload_done(self, args: dict[str, Any]) -> Answer:
        files = args.get("files")
        if not isinstance(files, list) or not all(self.files.get(one.get("id"), {}).get("body") for one in files):
            return _error("file_not_found")
        channel = self._channel({"channel": args.get("channel_id")})
        if channel is None:
            return _error("channel_not_found")
        for one in files:
            self.files[one["id"]]["shared"] = (channel, args.get("thread_ts"))
        return json_answer({"ok": True, "files": files})

    def _socket(self, args: dict[str, Any]) -> Answer:
        if self.socket_url is None:
            return _error("not_allowed_token_type")
        return json_answer({"ok": True, "url": self.socket_url})

    def _history(self, args: dict[str, Any]) -> Answer:
        channel = args.get("channel")
        if channel not in self.channels:
            return _error("channel_not_found")
        oldest = float(args.get("oldest") or 0)
        shown = [m for m in self.messages if m.channel == channel and (m.thread_ts is None or m.broadcast)]
        return self._page([m for m in reversed(shown) if float(m.ts) > oldest], args)

    def _replies(self, args: dict[str, Any]) -> Answer:
        channel = args.get("channel")
        parent = self._find(channel, args.get("ts")) if channel in self.channels else None
        if parent is None:
            return _error("thread_not_found" if channel in self.channels else "channel_not_found")
        return self._page([parent, *(m for m in self.messages if m.thread_ts == parent.ts)], args)

    def _page(self, messages: list[Posted], args: dict[str, Any]) -> Answer:
        start, limit = int(args.get("cursor") or 0), min(int(args.get("limit") or 100), 999)
        with_metadata = str(args.get("include_all_metadata")).lower() in ("true", "1")
        more = len(messages) > start + limit
        return json_answer(
            {
                "ok": True,
                "messages": [_shown(m, with_metadata) for m in messages[start : start + limit]],
                "has_more": more,
                "response_metadata": {"next_cursor": str(start + limit) if more else ""},
            }
        )

    def _channel(self, args: dict[str, Any]) -> str | None:
        asked = str(args.get("channel") or "")
        if asked in self.channels:
            return asked
        return next((i for i, name in self.channels.items() if asked.removeprefix("#") == name), None)

    def _find(self, channel: str | None, ts: Any) -> Posted | None:
        return next((m for m in self.messages if m.channel == channel and m.ts == ts), None)

    def _next_ts(self) -> str:
        return f"{time.time():.0f}.{len(self.messages) + 1:06d}"


def _shown(message: Posted, with_metadata: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": "message",
        "ts": message.ts,
        "text": message.text,
        "blocks": message.blocks,
        "bot_id": "B0FAKE",
    }
    if message.thread_ts is not None:
        shown["thread_ts"] = message.thread_ts
    if with_metadata and message.metadata is not None:
        shown["metadata"] = message.metadata
    return shown


def _error(code: str) -> Answer:
    return json_answer({"ok": False, "error": code})


def _limited(seconds: str) -> Answer:
    headers = {"Retry-After": seconds} if seconds else {}
    return json_answer({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
