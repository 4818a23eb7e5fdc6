"""The page "Sluice" in Airflow's web UI: what Airflow mounts, and where it shows it."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/sluice"
_BUNDLES = PREFIX.removeprefix("/") + "/static"


class Lazily:
    """The page's JSON app, built at its first request: plugins are imported in every process of Airflow."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if self._app is None:
            from sluice_ui import app

            self._app = app.build()
        await self._app(scope, receive, send)


class SluicePage(AirflowPlugin):
    """A page in the navigation, a line on the DAG's page, a card on the first one.

    The scripts need no build, they use Airflow's own React. An app's name is its global in the browser too.
    """

    name = "sluice_page"
    fastapi_apps: ClassVar = [{"app": Lazily(), "url_prefix": PREFIX, "name": "Sluice"}]
    react_apps: ClassVar = [
        {
            "name": "Sluice",
            "bundle_url": f"{_BUNDLES}/sluice.js",
            "destination": "nav",
            "url_route": "sluice",
            "nav_top_level": True,
            "icon": f"{_BUNDLES}/icon.svg",
            "icon_dark_mode": f"{_BUNDLES}/icon-dark.svg",
        },
        {"name": "SluiceStrip", "bundle_url": f"{_BUNDLES}/strip.js", "destination": "base"},
        {"name": "SluiceCard", "bundle_url": f"{_BUNDLES}/card.js", "destination": "dashboard"},
    ]
