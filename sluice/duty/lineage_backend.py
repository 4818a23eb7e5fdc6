"""Where lineage is told: a backend over HTTP, or a file that grows by a line an event."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

from sluice.base.settings import SettingError, Settings

# A backend that has not answered an event after so long is away.
TIMEOUT_SECONDS = 5.0
# It has understood, and wants none of this event, today or later.
_REFUSALS = (400, 413, 422)


class BackendAwayError(RuntimeError):
    """The backend did not take an event, and may take it later; the message says why."""


class EventRefusedError(RuntimeError):
    """The backend will not take this event; the message says what it answered."""


class Backend(ABC):
    """Somebody who is told."""

    @abstractmethod
    def tell(self, events: Sequence[RunEvent]) -> None:
        """Tell them in this order. Raises BackendAwayError, EventRefusedError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open."""


class HttpBackend(Backend):
    """The API of OpenLineage at ``url``; its path is ``/api/v1/lineage`` unless the URL has one of its own."""

    def __init__(self, url: str, key: str = "", timeout: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        endpoint = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
        self.shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        config = HttpConfig(
            url=urlunsplit((parts.scheme, parts.netloc, "", "", "")),
            endpoint=endpoint or "api/v1/lineage",
            timeout=timeout,
            auth=ApiKeyTokenProvider({"api_key": key}) if key else TokenProvider({}),
            retry={"total": 0},  # the next run tries again
        )
        self._transport = HttpTransport(config)

    def tell(self, events: Sequence[RunEvent]) -> None:
        """A request an event."""
        for event in events:
            try:
                self._transport.emit(event)
            except requests.HTTPError as error:
                raise _answered(self.shown, error.response) from error
            except requests.RequestException as error:
                raise BackendAwayError(f"{self.shown} does not take events: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


def _answered(who: str, response: requests.Response | None) -> Exception:
    """What an answer that is no success means."""
    if response is None:
        return BackendAwayError(f"{who} did not answer")
    says = f"{who} answers {response.status_code}: {response.text[:300]}"
    return EventRefusedError(says) if response.status_code in _REFUSALS else BackendAwayError(says)


class FileBackend(Backend):
    """A file of JSON lines, made when it is not there; who reads it may move it away at any time."""

    def __init__(self, path: Path, mode: int) -> None:
        self.path = path
        self._mode = mode

    def tell(self, events: Sequence[RunEvent]) -> None:
        """All of them in one write."""
        lines = "".join(f"{Serde.to_json(event)}\n" for event in events)
        try:
            opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode)
            with os.fdopen(opened, "wb") as file:
                file.write(lines.encode())
        except OSError as error:
            raise BackendAwayError(f"{self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is open between two calls."""


def backend(settings: Settings, timeout: float = TIMEOUT_SECONDS) -> Backend:
    """That of ``SLUICE_LINEAGE``. Raises SettingError when it names none."""
    where = settings.lineage
    if not where:
        raise SettingError(
            "SLUICE_LINEAGE names nobody who is told of lineage: a URL such as http://marquez:5000, or a file"
        )
    if where.startswith(("http://", "https://")):
        if not urlsplit(where).hostname:
            raise SettingError(f"SLUICE_LINEAGE={where!r} is no URL: write it as http://marquez:5000")
        return HttpBackend(where, settings.lineage_key, timeout)
    if "://" in where:
        raise SettingError(
            "SLUICE_LINEAGE is neither a URL that begins with http:// or https:// nor the path of a file"
        )
    return FileBackend(settings.home_dir / where, settings.file_mode)
