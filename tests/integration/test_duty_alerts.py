"""Whom SLUICE_ALERT_URL names is told what changed: real receivers, a real ledger, a clock of the test's own."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sluice.base.settings import PROJECT, Settings
from sluice.duty import changes, receivers, sentences, telling
from sluice.duty.conditions import FINE, Condition
from sluice.duty.telling import Told
from tests.loading import Connection
from tests.receivers import PASSWORD, Posts, http, smtp

START = datetime(2026, 11, 23, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WEB = "http://127.0.0.1:8080"
Look = Callable[..., Told]


@pytest.fixture
def posts() -> Iterator[Posts]:
    with http() as found:
        yield found


@pytest.fixture
def told(settings: Settings, posts: Posts) -> Settings:
    """Settings that name the HTTP receiver; a state holds when it held for two minutes."""
    return replace(settings, alert_url=posts.url, alert_hold_seconds=120.0, alert_gap_seconds=60.0)


def feed(state: str, name: str = "orders") -> Condition:
    return Condition("feed", name, state, None, {"rows": 1200})


def look(writer: Connection, settings: Settings, now: datetime, *found: Condition) -> Told:
    """One run of watch_feeds at this moment, which finds this."""
    changes.note(writer, found, now)
    return telling.tell(writer, settings, now, WEB)


def play(writer: Connection, settings: Settings, now: datetime, minutes: int, *found: Condition) -> datetime:
    """The same once a minute; the moment after it."""
    for _ in range(minutes):
        look(writer, settings, now, *found)
        now += MINUTE
    return now


def untold(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) AS n FROM ledger.duty_changes WHERE told_at IS NULL").fetchone()
    assert row is not None
    return int(row["n"])


def test_a_change_is_told_once_when_it_has_held(writer: Connection, told: Settings, posts: Posts) -> None:
    assert look(writer, told, START, feed("missing")) == Told()
    assert look(writer, told, START + MINUTE, feed("missing")) == Told()
    assert look(writer, told, START + 2 * MINUTE, feed("missing")) == Told(1)
    assert play(writer, told, START + 3 * MINUTE, 10, feed("missing"))
    assert len(posts.messages) == 1
    assert untold(writer) == 0


def test_a_message_says_what_since_when_the_numbers_the_remedy_and_where(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    berlin = replace(told, shop_zone="Europe/Berlin")
    play(writer, berlin, START, 3, feed("missing"))
    (message,) = posts.messages
    assert (message["title"], message["type"]) == ("Sluice: No file of the feed orders came.", "failure")
    body = message["message"]
    assert "Since 2026-11-23 01:00 (Europe/Berlin)." in body
    assert "By: rows 1,200." in body
    assert "What to do: Ask its sender. (docs/on-duty.md#a-feed-is-late-or-missing)" in body
    assert f"The page: {WEB}/plugin/sluice" in body
    play(writer, replace(told, page_url="https://airflow.example/"), START + HOUR, 4, feed(FINE))
    assert "The page: https://airflow.example/plugin/sluice" in posts.bodies[-1]
    assert posts.messages[-1]["type"] == "success"


def test_many_changes_at_once_are_one_message(writer: Connection, told: Settings, posts: Posts) -> None:
    storm = [feed("late", f"feed {number:03d}") for number in range(300)]
    play(writer, told, START, 5, *storm)
    (message,) = posts.messages
    assert message["title"] == "Sluice: 300 changes (300 warning)"
    assert message["message"].count("is late.") == telling.MOST
    assert f"And {300 - telling.MOST} changes more" in message["message"]
    assert len(message["message"]) < 8000
    assert untold(writer) == 0


def test_what_changes_soon_after_a_message_waits_for_the_next(writer: Connection, told: Settings, posts: Posts) -> None:
    slow = replace(told, alert_gap_seconds=600.0)
    now = play(writer, slow, START, 4, feed("late", "a"))
    now = play(writer, slow, now, 4, feed("late", "b"))
    play(writer, slow, now, 8, feed("late", "c"))
    assert [message["title"] for message in posts.messages] == [
        "Sluice: The feed a is late.",
        "Sluice: 2 changes (2 warning)",
    ]


def test_what_is_bad_does_not_wait_behind_something_less_and_then_everything_waits(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    slow = replace(told, alert_gap_seconds=600.0)
    now = play(writer, slow, START, 4, Condition("backlog", "backlog", "behind"))
    now = play(writer, slow, now, 4, Condition("stream", "stream", "down"))
    play(writer, slow, now, 4, Condition("proof", "proof", "broken"))
    assert [message["title"] for message in posts.messages] == [
        "Sluice: Loading falls behind: files arrive faster than they are loaded.",
        "Sluice: No stream lives, and none was submitted in its place.",
    ]


def test_what_goes_back_and_forth_is_told_when_it_rests(writer: Connection, told: Settings, posts: Posts) -> None:
    now = START
    for _ in range(60):
        now = play(writer, told, now, 1, feed("late"))
        now = play(writer, told, now, 1, feed(FINE))
    assert posts.messages == [], "no state held for two minutes"
    for _ in range(20):
        now = play(writer, told, now, 3, feed("late"))
        now = play(writer, told, now, 3, feed(FINE))
    assert posts.messages == [], "the more often it changes, the longer it must rest"
    play(writer, told, now, 180, feed("late"))
    assert [message["title"] for message in posts.messages] == ["Sluice: The feed orders is late."]


def test_a_state_that_came_and_went_before_it_held_is_not_told_and_what_is_known_not_again(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    now = play(writer, told, START, 5, feed("late"))
    now = play(writer, told, now + HOUR, 1, feed(FINE))
    play(writer, told, now, 30, feed("late"))
    assert len(posts.messages) == 1


def test_a_state_that_nobody_need_know_is_not_told(writer: Connection, told: Settings, posts: Posts) -> None:
    now = START
    for state in ("unknown", FINE, "unknown", FINE):
        now = play(writer, told, now, 200, feed(state))
    assert posts.messages == []


# --- receivers that are away


def test_a_receiver_that_is_away_is_told_all_of_it_in_one_message_when_it_is_back(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    posts.status = 503
    now = play(writer, told, START, 2, feed("late"))
    failed = look(writer, told, now, feed("late")).failed
    assert [str(one) for one in failed] == ["receiver 1 of SLUICE_ALERT_URL (json)"]
    now = play(writer, told, now + HOUR, 5, feed("missing"))
    now = play(writer, told, now + 2 * HOUR, 5, feed(FINE))
    assert posts.messages == []
    posts.status = 200
    play(writer, told, now, 5, feed(FINE))
    (body,) = posts.bodies
    parts = ["is late.", "No file of the feed orders came.", "as it should be again."]
    assert [body.index(part) for part in parts] == sorted(body.index(part) for part in parts)
    assert "Since 2026-11-23 00:00 (UTC) until 2026-11-23 01:02 (UTC)." in body
    assert untold(writer) == 0


def test_a_receiver_that_does_not_listen_is_tried_again(writer: Connection, settings: Settings) -> None:
    with http() as gone:
        port = gone.port
    away = replace(settings, alert_url=f"json://127.0.0.1:{port}", alert_hold_seconds=1.0)
    changes.note(writer, [feed("late")], START)
    assert len(telling.tell(writer, away, START + MINUTE).failed) == 1
    with http(port) as back:
        assert telling.tell(writer, away, START + 2 * MINUTE) == Told(1)
        assert len(back.messages) == 1


def test_one_receiver_that_is_away_makes_the_others_hear_nothing_twice(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    with http() as other, smtp() as (mail_url, mails):
        other.status = 500
        both = replace(told, alert_url=f"{posts.url}, {other.url} {mail_url}")
        now = play(writer, both, START, 10, feed("late"))
        assert (len(posts.messages), len(other.messages), len(mails)) == (1, 0, 2), "a mail for each address"
        assert untold(writer) == 1, "it is told when the last receiver has confirmed it"
        other.status = 200
        play(writer, both, now, 5, feed("late"))
        assert (len(posts.messages), len(other.messages), len(mails)) == (1, 1, 2)
        assert untold(writer) == 0


def test_a_receiver_that_is_taken_out_of_the_setting_is_not_waited_for(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    now = play(writer, replace(told, alert_url=f"{posts.url} nonsense://x"), START, 5, feed("late"))
    assert untold(writer) == 1
    look(writer, told, now, feed("late"))
    assert (untold(writer), len(posts.messages)) == (0, 1)


def test_a_url_that_means_nothing_is_named_by_its_place_and_hides_nobody(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    strange = replace(told, alert_url=f"nonsense://{PASSWORD}@x {posts.url}")
    changes.note(writer, [feed("late")], START)
    said = telling.tell(writer, strange, START + HOUR)
    assert (said.messages, [str(one) for one in said.failed]) == (1, ["receiver 1 of SLUICE_ALERT_URL (nonsense)"])


def test_a_mail_has_the_whole_message(writer: Connection, settings: Settings) -> None:
    with smtp() as (url, mails):
        mailed = replace(settings, alert_url=url, alert_hold_seconds=1.0)
        changes.note(writer, [feed("too_dirty")], START)
        assert telling.tell(writer, mailed, START + MINUTE, WEB) == Told(1)
    assert {str(mail["To"]) for mail in mails} == {"one@example.org", "two@example.org"}
    assert mails[0]["Subject"] == "Sluice: Too many rows of the feed orders were set aside."
    body = mails[0].get_body()
    assert body is not None
    assert "make rejects shows them by rule" in body.get_content()


def test_without_a_receiver_nobody_is_told_and_the_first_one_hears_what_is_wrong(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    now = play(writer, replace(told, alert_url=""), START, 10, feed("late"))
    assert (untold(writer), posts.messages) == (1, [])
    look(writer, told, now, feed("late"))
    assert len(posts.messages) == 1


def test_nobody_tells_while_somebody_else_does(
    writer: Connection, connection: Connection, told: Settings, posts: Posts
) -> None:
    changes.note(writer, [feed("late")], START)
    connection.execute("SELECT pg_advisory_lock(7215482032)")
    assert telling.tell(writer, told, START + HOUR) == Told()
    connection.execute("SELECT pg_advisory_unlock(7215482032)")
    assert telling.tell(writer, told, START + HOUR) == Told(1)
    assert len(posts.messages) == 1


KILLED = """
from datetime import datetime
from sluice.base import database
from sluice.base.settings import load
from sluice.duty import telling
with database.connect(load().writer_dsn) as connection:
    telling.tell(connection, load(), datetime.fromisoformat({now!r}))
"""


@pytest.mark.parametrize("point", ["duty.after_send"])
def test_killed_between_sending_and_noting_it_is_told_again_with_the_same_numbers(
    writer: Connection, told: Settings, posts: Posts, tmp_path: Path, point: str
) -> None:
    now = START + HOUR
    changes.note(writer, [feed("late")], START)
    environment = os.environ | {
        "SLUICE_ALERT_URL": told.alert_url,
        "SLUICE_CRASH_AT": point,
        "SLUICE_CRASH_ONCE": str(tmp_path / "died"),
    }
    killed = [sys.executable, "-c", KILLED.format(now=now.isoformat())]
    assert subprocess.run(killed, env=environment, cwd=PROJECT).returncode == -signal.SIGKILL
    assert untold(writer) == 1
    assert telling.tell(writer, told, now) == Told(1)
    first, again = (re.findall(r"^Changes .*$", body, re.MULTILINE) for body in posts.bodies)
    assert first == again != []
    assert telling.tell(writer, told, now + HOUR) == Told()


# --- what may not be in a message, and what may not be in a log


def test_what_files_are_called_is_text_and_calls_nobody(writer: Connection, told: Settings, posts: Posts) -> None:
    nasty = "<!channel> @everyone\n\x1b[31m{{ 7 * 7 }} https://evil.example/" + "x" * 500
    found = Condition("refused", "refused", "refused", None, {"files": 1, "first": nasty, "why": "a\nb\u202e"})
    play(writer, told, START, 3, found, Condition("contract", nasty, "broken", None, {"why": nasty}))
    (body,) = posts.bodies
    assert not set("@<>\x1b\u202e") & set(body)
    assert "https://" not in body
    assert "{{ 7 * 7 }}" in body
    assert max(map(len, body.splitlines())) < 400


def test_no_url_is_in_a_log_whatever_level_is_logged(
    writer: Connection, told: Settings, posts: Posts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("apprise", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    changes.note(writer, [feed("late")], START)
    broken = replace(told, alert_url=f"{told.alert_url} json://u:{PASSWORD}@127.0.0.1:1/{PASSWORD} tgram://{PASSWORD}/")
    said = telling.tell(writer, broken, START + HOUR)
    assert (said.messages, len(said.failed)) == (1, 2)
    assert "has confirmed a message of 1 changes" in caplog.text
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(broken)
    assert PASSWORD not in repr(receivers.of(broken)) + str(said)
    kept = writer.execute("SELECT string_agg(t::text, '') AS all FROM ledger.duty_told AS t").fetchone()
    assert kept is not None
    assert PASSWORD not in kept["all"]
    logging.getLogger("after").error("heard")
    assert "heard" in caplog.text, "what comes after is logged"


def test_urls_may_stand_with_commas_or_blanks_between_them() -> None:
    first, second = "mailto://u:p@h?to=a@x.org,b@x.org", "json://h/p"
    for between in (" ", ",", ", ", "\n"):
        assert Settings(alert_url=f"{first}{between}{second}").alert_urls == (first, second)
    assert Settings().alert_urls == ()


# --- a week


def test_a_week_is_told_each_change_once_in_order_and_none_too_many(
    writer: Connection, told: Settings, posts: Posts
) -> None:
    """A daily feed that should come by 06:00, a look a minute; and what else happens in a week."""
    week = replace(told, alert_gap_seconds=300.0)
    stream = {"state": FINE}
    nightly = {"state": FINE}

    def until(moment: timedelta) -> None:
        nonlocal now
        while now < START + moment:
            found = [feed(nightly["state"], "nightly"), feed(FINE, "clicks")]
            look(writer, week, now, Condition("stream", "stream", stream["state"]), *found)
            now += 5 * MINUTE

    now = START
    until(6 * HOUR)  # Monday: on time
    until(DAY + 6 * HOUR)
    nightly["state"] = "late"  # Tuesday: late, it comes
    until(DAY + 7 * HOUR)
    nightly["state"] = FINE
    until(2 * DAY + 6 * HOUR)
    nightly["state"] = "late"  # Wednesday: late, then missing
    until(2 * DAY + 8 * HOUR)
    nightly["state"] = "missing"
    until(3 * DAY + 5 * HOUR)
    nightly["state"] = "too_small"  # Thursday: small, and the stream dies meanwhile
    until(3 * DAY + 12 * HOUR)
    stream["state"] = "down"
    until(3 * DAY + 13 * HOUR)
    stream["state"] = FINE
    until(4 * DAY + 5 * HOUR)
    nightly["state"] = "too_dirty"  # Friday: dirty; the receiver is away for two hours
    posts.status = 500
    until(4 * DAY + 7 * HOUR)
    posts.status = 200
    until(5 * DAY + 5 * HOUR)
    nightly["state"] = FINE  # Saturday and Sunday: on time
    until(7 * DAY)

    assert [message["title"].removeprefix("Sluice: ") for message in posts.messages] == [
        sentences.sentence("feed", "nightly", "late"),
        sentences.sentence("feed", "nightly", FINE),
        sentences.sentence("feed", "nightly", "late"),
        sentences.sentence("feed", "nightly", "missing"),
        sentences.sentence("feed", "nightly", "too_small"),
        sentences.sentence("stream", "stream", "down"),
        sentences.sentence("stream", "stream", FINE),
        sentences.sentence("feed", "nightly", "too_dirty"),
        sentences.sentence("feed", "nightly", FINE),
    ]
    assert untold(writer) == 0
    at = writer.execute("SELECT at, told_at FROM ledger.duty_changes ORDER BY change_id").fetchall()
    waited = [row["told_at"] - row["at"] for row in at]
    assert sum(one > 15 * MINUTE for one in waited) == 1, "only the one for which the receiver was away"
