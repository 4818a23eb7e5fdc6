"""Those who are told: a URL each, reached through Airflow's Apprise notifier. No URL gets into a log or an error."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sluice.base.settings import Settings
from sluice.watching.health import Level

# Apprise's words for how bad it is.
_KINDS = {Level.BAD: "failure", Level.WARNING: "warning", Level.GOOD: "success", Level.QUIET: "info"}
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*(?=://)", re.ASCII)


@dataclass(frozen=True)
class Message:
    """What is said: plain text, nothing of it is a template or a mark."""

    title: str
    body: str
    level: Level


@dataclass(frozen=True)
class Receiver:
    """Whom a URL reaches; ``place`` is where it stands in SLUICE_ALERT_URL, the first is 1."""

    place: int
    url: str

    def __str__(self) -> str:
        scheme = _SCHEME.match(self.url)
        return f"receiver {self.place} of SLUICE_ALERT_URL ({scheme[0] if scheme else 'no URL'})"

    def __repr__(self) -> str:
        return f"<{self}>"

    def send(self, message: Message) -> bool:
        """Whether the receiver has confirmed the message; what goes wrong, and a URL that means nothing, is no."""
        with _silence():
            try:
                return _send(self.url, message)
            except Exception:  # whose message may quote the URL
                return False


def of(settings: Settings) -> list[Receiver]:
    """The receivers that the settings name, in their order."""
    return [Receiver(place, url) for place, url in enumerate(settings.alert_urls, start=1)]


def _send(url: str, message: Message) -> bool:
    from airflow.providers.apprise.notifications.apprise import AppriseNotifier  # importing it takes seconds
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

    service: Any = Apprise.instantiate(url, asset=AppriseAsset(app_id="Sluice", app_desc="Sluice", app_url=""))
    if service is None:
        return False
    # The notifier's hook drops what Apprise says of the message, and without that nobody knows whether it arrived: so
    # the service itself is listened to. It stands where a configuration would: the hook hands both to Apprise.add.
    confirmed: list[bool] = []
    deliver = service.notify

    def notify(*given: Any, **named: Any) -> Any:
        said = deliver(*given, **named)
        confirmed.append(bool(said))
        return said

    service.notify = notify
    notifier = AppriseNotifier(
        title=message.title,
        body=message.body,
        notify_type=NotifyType(_KINDS[message.level]),
        body_format=NotifyFormat.TEXT,
        config=service,
    )
    # Called, it would take the text for a template.
    notifier.notify({})
    return confirmed[-1:] == [True]  # a URL may ask for several tries


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Libraries log addresses, which may be secrets themselves: nothing is logged while something is sent."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
