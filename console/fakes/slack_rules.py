"""Slack's documented limits on a message."""

import json
from typing import Any

BLOCKS_MAX = 50
ALL_BLOCKS_MAX = 13_200
TEXT_MAX = 40_000
SECTION_MAX = 3000
FIELD_MAX = 2000
HEADER_MAX = 150
URL_MAX = 3000


def fault(body: dict[str, Any]) -> str | None:
    """Slack's error code for what is wrong with a message; None if it is right."""
    text, blocks = body.get("text") or "", body.get("blocks") or []
    if not text and not blocks:
        return "no_text"
    if len(text) > TEXT_MAX:
        return "msg_too_long"
    if not isinstance(blocks, list) or len(blocks) > BLOCKS_MAX:
        return "invalid_blocks"
    ids = [b["block_id"] for b in blocks if isinstance(b, dict) and "block_id" in b]
    if len(ids) != len(set(ids)) or not all(isinstance(b, dict) and _is_block(b) for b in blocks):
        return "invalid_blocks"
    if len(json.dumps(blocks, ensure_ascii=False)) > ALL_BLOCKS_MAX:
        return "msg_blocks_too_long"
    metadata = body.get("metadata")
    if metadata is not None and not (
        isinstance(metadata, dict)
        and isinstance(metadata.get("event_type"), str)
        and isinstance(metadata.get("event_payload"), dict)
    ):
        return "invalid_metadata_format"
    return None


def _is_block(block: dict[str, Any]) -> bool:
    if not 0 < len(block.get("block_id", "x")) <= 255:
        return False
    kind = block.get("type")
    if kind == "header":
        return _is_text(block.get("text"), HEADER_MAX, kinds=("plain_text",))
    if kind == "section":
        return _is_section(block)
    if kind == "context":
        elements = block.get("elements")
        return isinstance(elements, list) and 0 < len(elements) <= 10 and all(map(_is_in_context, elements))
    if kind == "actions":
        elements = block.get("elements")
        if not (isinstance(elements, list) and 0 < len(elements) <= 25 and all(map(_is_button, elements))):
            return False
        named = [one["action_id"] for one in elements if "action_id" in one]
        return len(named) == len(set(named))
    if kind == "image":
        return _is_image(block)
    return kind == "divider"


def _is_section(block: dict[str, Any]) -> bool:
    fields = block.get("fields")
    if fields is not None and not (
        isinstance(fields, list) and 0 < len(fields) <= 10 and all(_is_text(f, FIELD_MAX) for f in fields)
    ):
        return False
    return _is_text(block["text"], SECTION_MAX) if "text" in block else fields is not None


def _is_text(value: Any, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> bool:
    if not isinstance(value, dict) or value.get("type") not in kinds or not isinstance(value.get("text"), str):
        return False
    return 0 < len(value["text"]) <= limit and (value["type"] == "plain_text" or "emoji" not in value)


def _is_in_context(element: Any) -> bool:
    return _is_text(element, SECTION_MAX) or (isinstance(element, dict) and _is_image(element))


def _is_image(element: dict[str, Any]) -> bool:
    url, alt = element.get("image_url"), element.get("alt_text")
    return (
        element.get("type") == "image"
        and isinstance(url, str)
        and 0 < len(url) <= URL_MAX
        and isinstance(alt, str)
        and 0 < len(alt) <= 2000
    )


def _is_button(element: Any) -> bool:
    if not isinstance(element, dict) or not 0 < len(element.get("action_id", "x")) <= 255:
        return False
    if element.get("type") == "static_select":
        options = element.get("options")
        return (
            _is_text(element.get("placeholder"), 150, kinds=("plain_text",))
            and isinstance(options, list)
            and 0 < len(options) <= 100
            and all(
                _is_text(one.get("text"), 75, kinds=("plain_text",)) and 0 < len(one.get("value", "")) <= 150
                for one in options
            )
        )
    return (
        element.get("type") == "button"
        and _is_text(element.get("text"), 75, kinds=("plain_text",))
        and len(element.get("value", "")) <= 2000
        and len(element.get("url", "")) <= URL_MAX
        and element.get("style", "primary") in ("primary", "danger")
        and ("confirm" not in element or _is_confirm(element["confirm"]))
    )


def _is_confirm(confirm: Any) -> bool:
    return (
        isinstance(confirm, dict)
        and _is_text(confirm.get("title"), 100, kinds=("plain_text",))
        and _is_text(confirm.get("text"), 300)
        and all(_is_text(confirm.get(name), 30, kinds=("plain_text",)) for name in ("confirm", "deny"))
    )


def view_fault(view: Any) -> str | None:
    """Slack's error code for what is wrong with a dialog; None if it is right."""
    if not isinstance(view, dict) or view.get("type") != "modal":
        return "invalid_arguments"
    titles = all(_is_text(view.get(n), 24, kinds=("plain_text",)) for n in ("title", "submit", "close") if n in view)
    blocks = view.get("blocks")
    whole = isinstance(blocks, list) and 0 < len(blocks) <= 100 and all(_is_block(b) or _is_input(b) for b in blocks)
    short = len(view.get("private_metadata", "")) <= 3000 and len(view.get("callback_id", "")) <= 255
    return None if titles and "title" in view and whole and short else "invalid_arguments"


def _is_input(block: Any) -> bool:
    element = block.get("element") or {}
    return (
        block.get("type") == "input"
        and _is_text(block.get("label"), 2000, kinds=("plain_text",))
        and ("hint" not in block or _is_text(block["hint"], 2000, kinds=("plain_text",)))
        and element.get("type") == "plain_text_input"
        and 0 < len(element.get("action_id", "x")) <= 255
        and 0 < element.get("max_length", 3000) <= 3000
    )
