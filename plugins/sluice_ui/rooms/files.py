"""Room Files, One file, and the schemas of contracts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime

from sluice.watching import files, one_file, schemas
from sluice.watching.reader import SlowError
from sluice_ui import rights
from sluice_ui.answers import Answers

VERIFY_MS = 5000
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Beside = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
Name = Annotated[str, Query(min_length=1, max_length=300, pattern="^[^\\x00]*$")]
Text = Name | None


def _wanted(
    state: files.State | None = None,
    contract: Text = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    prefix: Text = None,
) -> files.Filter:
    return files.Filter(state, contract, since, until, prefix)


Wanted = Annotated[files.Filter, Depends(_wanted)]


def router(answers: Answers) -> APIRouter:
    """The endpoints."""
    room = APIRouter()

    @room.get("/files")
    async def look(
        wanted: Wanted,
        before: Beside = None,
        after: Beside = None,
        most: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        return await answers.ask(files.page, wanted, before=before, after=after, most=most)

    @room.get("/files/count")
    async def count(wanted: Wanted) -> dict[str, Any]:
        return await answers.ask(files.count, wanted)

    @room.get("/files/{file_id}")
    async def story(file_id: Id) -> dict[str, Any]:
        return await answers.ask(one_file.story, answers.settings, file_id)

    @room.get("/files/{file_id}/rows", dependencies=[rights.SEE_ROWS])
    async def rows(file_id: Id) -> dict[str, Any]:
        return await answers.ask(one_file.rows, file_id)

    @room.get("/files/{file_id}/receipt")
    async def verify(file_id: Id) -> dict[str, Any]:
        try:
            return await answers.ask_long(VERIFY_MS, one_file.verify, file_id)
        except SlowError:
            return {"file_id": file_id, "is_too_large": True}

    @room.get("/contracts")
    async def contracts() -> dict[str, Any]:
        return {"contracts": await answers.ask(schemas.contracts)}

    @room.get("/contracts/schema")
    async def schema(name: Name) -> dict[str, Any]:
        return await answers.ask(schemas.schema, name)

    return room
