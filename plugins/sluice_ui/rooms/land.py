"""Room Land a file: a CSV is handed over, judged by a process of its own, and landed when the viewer says so."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request

from sluice.landing import uploads
from sluice.landing.land import NotLandedError
from sluice.watching import arrivals
from sluice.watching.reader import AwayError, SlowError
from sluice_ui import judging, rights
from sluice_ui.answers import Answers
from sluice_ui.desk import BusyError

NAME_BYTES_MAX = 4_000
Token = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


def ours(x_sluice: Annotated[str, Header()] = "") -> None:
    """A header of the page's own: no form of another site can send it."""
    if x_sluice != "page":
        raise HTTPException(400, "the header X-Sluice is missing: this is asked by the page only")


def router(answers: Answers) -> APIRouter:
    """The endpoints. All but the last take the right to start ingest_events."""
    room, settings = APIRouter(), answers.settings
    judge = judging.Judge(settings)
    lands = [rights.LAND, Depends(ours)]

    @room.post("/uploads", dependencies=lands)
    async def hand_over(
        request: Request,
        x_sluice_name: Annotated[str, Header(min_length=1, max_length=3 * NAME_BYTES_MAX)],
        content_length: Annotated[int | None, Header(ge=0)] = None,
    ) -> dict[str, Any]:
        name = unquote(x_sluice_name)
        with _explained():
            upload = await _take(answers, request, name, content_length)
        return {"upload": upload.token, "name": upload.name}

    @room.post("/uploads/{token}/check", dependencies=lands)
    async def check(token: Token) -> dict[str, Any]:
        with _explained():
            return await judge.verdict(uploads.find(settings, token))

    @room.post("/uploads/{token}/draft", dependencies=lands)
    async def draft(token: Token) -> dict[str, Any]:
        with _explained():
            return await judge.draft(uploads.find(settings, token))

    @room.post("/uploads/{token}/land", dependencies=lands)
    async def land(token: Token) -> dict[str, Any]:
        before = await _last_file(answers)
        with _explained():
            landed = await anyio.to_thread.run_sync(uploads.land_upload, settings, token, limiter=judge.limiter)
        return {"name": landed.path.name, "sha256": landed.sha256, "bytes": landed.bytes, "after": before}

    @room.delete("/uploads/{token}", dependencies=lands)
    async def forget(token: Token) -> dict[str, Any]:
        uploads.forget(settings, token)
        return {}

    @room.get("/arrivals/{sha256}")
    async def arrived(
        sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
        name: Annotated[str, Query(max_length=NAME_BYTES_MAX, pattern="^[^\\x00]*$")],
        after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    ) -> dict[str, Any]:
        return {"file": await answers.ask(arrivals.of, sha256, name, after)}

    return room


async def _last_file(answers: Answers) -> int:
    """The greatest number of a file; 0 when the database cannot say so now, which a landing does not need."""
    try:
        return await answers.ask(arrivals.last)
    except (BusyError, AwayError, SlowError):
        return 0


async def _take(answers: Answers, request: Request, name: str, length: int | None) -> uploads.Upload:
    """Stream the body to the disk, in a thread of the page's own."""
    limiter = anyio.CapacityLimiter(1)
    writing = await anyio.to_thread.run_sync(uploads.take, answers.settings, name, length, limiter=limiter)
    try:
        async for block in request.stream():
            await anyio.to_thread.run_sync(writing.write, block, limiter=limiter)
        return await anyio.to_thread.run_sync(writing.end, limiter=limiter)
    except BaseException:
        writing.give_up()
        raise


class _explained:  # noqa: N801 - it reads as a statement
    """What a viewer can mend is told, with the status that says whose fault it is."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, uploads.UploadError):
            raise HTTPException(409, str(error)) from error
        if isinstance(error, NotLandedError):
            raise HTTPException(507, str(error)) from error
        if isinstance(error, OSError):
            raise HTTPException(507, f"the upload cannot be kept: {error.strerror or error}") from error
