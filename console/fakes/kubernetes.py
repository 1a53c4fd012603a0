"""A Kubernetes API server as far as scale-down meets one: rights, versions, merge patches, rehearsals."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import httpx

TOKEN = "a-service-account-token-of-the-tests"
Object = dict[str, Any]


class FakeKubernetes(httpx.BaseTransport):
    """Objects by path. `may` holds (verb, path without names) that are allowed; `None` allows all.

    `fail_next`: what the next PATCH that is no rehearsal meets: a status, or "lost" (done, but the answer is lost).
    """

    def __init__(self, may: set[tuple[str, str]] | None = None) -> None:
        self.objects: dict[str, Object] = {}
        self.patches: list[tuple[str, Any]] = []  # those that changed something
        self.rehearsals = 0
        self.away = False
        self.fail_next: int | str | None = None
        self._may = may
        self._version = 0

    def put(self, path: str, content: Mapping[str, Any]) -> Object:
        """Make an object, or make it anew, at its path."""
        one: Object = copy.deepcopy(dict(content))
        one.setdefault("metadata", {}).update(name=path.rpartition("/")[2])
        self.objects[path] = one
        self._raise_version(one, generation=1)
        return one

    def replicas(self, path: str) -> int:
        """How many replicas an object asks for."""
        return int(self.objects[path]["spec"]["replicas"])

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized")
        path, verb = request.url.path, request.method
        if self._may is not None and (verb, _without_name(path)) not in self._may:
            return _status(403, f"forbidden: cannot {verb.lower()} {path}")
        if verb == "GET":
            return self._get(path)
        return self._patch(path, request) if verb == "PATCH" else _status(405, "not allowed")

    def _get(self, path: str) -> httpx.Response:
        if path in self.objects:
            return httpx.Response(200, json=self.objects[path])
        if len(path.split("/")) == 7:  # a list
            found = [one for where, one in self.objects.items() if where.rpartition("/")[0] == path]
            return httpx.Response(200, json={"items": found})
        return _status(404, "not found")

    def _patch(self, path: str, request: httpx.Request) -> httpx.Response:
        of_scale = path.endswith("/scale")
        one = self.objects.get(path.removesuffix("/scale"))
        if one is None:
            return _status(404, "not found")
        if request.headers["content-type"] != "application/merge-patch+json":
            return _status(415, "the body of the request was in an unknown format")
        patch = json.loads(request.content)
        wanted = patch.get("metadata", {}).pop("resourceVersion", None)
        if wanted is not None and wanted != one["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified; please apply your changes to the latest version")
        if of_scale and set(patch.get("spec", {})) - {"replicas"}:
            return _status(422, "only replicas can be set by scale")
        if request.url.params.get("dryRun") == "All":
            self.rehearsals += 1
            return httpx.Response(200, json=one)
        failure, self.fail_next = self.fail_next, None
        if isinstance(failure, int):
            return _status(failure, "made to fail", {"retry-after": "7"})
        self.patches.append((path, patch))
        _merge(one, patch)
        self._raise_version(one, generation=one["metadata"]["generation"] + ("spec" in patch))
        if failure == "lost":
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(200, json=one)

    def _raise_version(self, one: Object, *, generation: int) -> None:
        self._version += 1
        one["metadata"].update(resourceVersion=str(self._version), generation=generation)


def _merge(one: Object, patch: Mapping[str, Any]) -> None:
    """RFC 7386."""
    for name, value in patch.items():
        if value is None:
            one.pop(name, None)
        elif isinstance(value, dict):
            if not isinstance(one.get(name), dict):
                one[name] = {}
            _merge(one[name], value)
        else:
            one[name] = value


def _without_name(path: str) -> str:
    """The resource of a path, as rights name it: group and plural, with a subresource."""
    parts = path.strip("/").split("/")
    subresource = f"/{parts[7]}" if len(parts) > 7 else ""
    return f"{parts[1]}/{parts[5]}{subresource}"


def _status(code: int, message: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.Response(code, json={"kind": "Status", "code": code, "message": message}, headers=headers)
