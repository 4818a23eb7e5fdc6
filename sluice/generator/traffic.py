"""What people do in the shop: sessions as funnels, and the rhythm of the day.

Numbers only, as numpy arrays with one element per event; ``records`` turns them into text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from sluice.generator.shop import (
    DEVICES_PER_USER,
    MOST_OF_ONE_PRODUCT,
    PHRASES_PER_CATEGORY,
    VAIN_PHRASES,
    Shop,
    draw,
)
from sluice.generator.types import Flags, Floats, Ints

HOUR = 3_600_000  # in milliseconds

# How busy the shop is in each hour of the day (UTC): 1 is the day's mean; 3 h is the quietest, 20 h the busiest.
HOUR_WEIGHTS = np.array(
    [0.55, 0.35, 0.25, 0.20, 0.22, 0.32, 0.50, 0.72, 0.90, 1.00, 1.08, 1.15,
     1.22, 1.15, 1.08, 1.10, 1.20, 1.35, 1.60, 1.85, 1.96, 1.80, 1.45, 1.00]
)  # fmt: skip

# The steps that one interest can take, in their order; purchases come last, when all interests are in the cart.
SEARCH_IN_VAIN, SEARCH, VIEW, WISH, CART, REMOVE, PURCHASE = range(7)
EVENT_TYPES = ("search", "search", "product_view", "wishlist_add", "add_to_cart", "remove_from_cart", "purchase")
SECONDS_BEFORE = np.array([14.0, 12.0, 9.0, 6.0, 18.0, 25.0, 8.0])


@dataclass(frozen=True)
class Events:
    """Events, one array element each. -1 stands for a value that this type of event does not have."""

    step: Ints
    session: Ints
    user: Ints
    device: Ints
    product: Ints
    phrase: Ints
    quantity: Ints
    payment: Ints
    time: Ints  # milliseconds since 1970 (UTC)
    arrival: Ints  # the order in which the rows are written; a late event arrives long after its time

    def __len__(self) -> int:
        return len(self.step)

    def take(self, index: Ints) -> Events:
        """The events at ``index``, in that order."""
        return Events(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def joined(self, other: Events) -> Events:
        """These events and the ``other`` ones; the others' sessions are numbered on."""
        first_free = int(self.session.max(initial=-1)) + 1
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        pairs["session"] = (self.session, other.session + first_free)
        return Events(**{name: np.concatenate(pair) for name, pair in pairs.items()})


def moments(quantiles: Floats, start: int, end: int) -> Ints:
    """Times between ``start`` and ``end`` (milliseconds) that follow the hours' weights; quantile 0 is the start."""
    knots = np.array([start, *range((start // HOUR + 1) * HOUR, end, HOUR), end], dtype=np.float64)
    weights = HOUR_WEIGHTS[(knots[:-1] // HOUR).astype(np.int64) % 24]
    busy = np.concatenate([[0.0], np.cumsum(np.diff(knots) * weights)])
    times: Ints = np.interp(quantiles * busy[-1], busy, knots).astype(np.int64)
    return times


def weight_at(time: int) -> float:
    """How busy the shop is at ``time`` (milliseconds), against the day's mean."""
    return float(HOUR_WEIGHTS[time // HOUR % 24])


def visits(
    rng: np.random.Generator, shop: Shop, rows: int, *, window: tuple[int, int], part: tuple[float, float] = (0.0, 1.0)
) -> Events:
    """Exactly ``rows`` events of sessions that end within the ``part`` (quantiles) of ``window`` (milliseconds).

    The last session is cut where the rows are used up, as if the person had left; what is there is still a funnel.
    """
    sessions = rows // 4 + 20
    interests, steps = _interests(rng, shop, sessions)
    while np.count_nonzero(steps) < rows:
        sessions *= 2
        interests, steps = _interests(rng, shop, sessions)
    return _events(rng, shop, interests, steps, rows, lambda size: moments(rng.uniform(*part, size), *window))


def late_visits(rng: np.random.Generator, visited: Events, span: tuple[int, int]) -> Events:
    """The same sessions, but their events happened within ``span`` (milliseconds); they arrive when they did."""
    count = int(visited.session.max(initial=-1)) + 1
    ends = np.zeros(count, dtype=np.int64)
    np.maximum.at(ends, visited.session, visited.time)
    delay = ends - moments(rng.random(count), *span)
    return Events(**{**_columns(visited), "time": visited.time - delay[visited.session]})


@dataclass(frozen=True)
class _Interests:
    """What the people of a number of sessions are after, one element per interest."""

    session: Ints
    product: Ints
    phrase: Ints
    vain_phrase: Ints
    quantity: Ints


def _interests(rng: np.random.Generator, shop: Shop, sessions: int) -> tuple[_Interests, Flags]:
    """The interests of ``sessions`` sessions (at least one each), and which of the seven steps each takes."""
    session = np.repeat(np.arange(sessions), rng.geometric(0.4, sessions).clip(max=12))
    size = len(session)
    product = draw(rng, shop.product_popularity, size)
    phrase = shop.category_of[product] * PHRASES_PER_CATEGORY + draw(rng, shop.phrase_popularity, size)
    vain_phrase = shop.first_vain_phrase + rng.integers(0, len(VAIN_PHRASES), size)
    quantity = rng.geometric(0.75, size).clip(max=MOST_OF_ONE_PRODUCT)
    return _Interests(session, product, phrase, vain_phrase, quantity), _steps(rng, session)


def _steps(rng: np.random.Generator, session: Ints) -> Flags:
    """Which steps (columns) each interest (row) takes: about 7 % of the searches are in vain, 13 % of sessions buy."""
    size = len(session)
    first = np.concatenate([[True], np.diff(session) > 0])
    searched = rng.random(size) < np.where(first, 0.55, 0.30)
    in_vain = searched & (rng.random(size) < 0.075)
    gave_up = in_vain & (rng.random(size) < 0.4)
    viewed = ~gave_up
    carted = viewed & (rng.random(size) < 0.25)
    removed = carted & (rng.random(size) < 0.15)
    buys = rng.random(int(session[-1]) + 1) < 0.35
    wished = viewed & (rng.random(size) < 0.08)
    bought = carted & ~removed & buys[session]
    return np.column_stack([in_vain, searched & ~gave_up, viewed, wished, carted, removed, bought])


def _events(
    rng: np.random.Generator,
    shop: Shop,
    interests: _Interests,
    steps: Flags,
    rows: int,
    draw_ends: Callable[[int], Ints],
) -> Events:
    interest, step = np.nonzero(steps)
    order = np.argsort(interests.session[interest] * 2 + (step == PURCHASE), kind="stable")[:rows]
    interest, step = interest[order], step[order]
    session = interests.session[interest]
    count = int(session.max(initial=-1)) + 1
    user = draw(rng, shop.user_activity, count)[session]
    device = rng.integers(0, DEVICES_PER_USER, count)[session]
    payment = draw(rng, shop.payment_popularity, count)[session]
    ends = draw_ends(count)
    time = ends[session] - _until_the_end(rng, session, step)
    is_search = step <= SEARCH
    phrase = np.where(step == SEARCH_IN_VAIN, interests.vain_phrase[interest], interests.phrase[interest])
    return Events(
        step=step,
        session=session,
        user=user,
        device=user * DEVICES_PER_USER + device,
        product=np.where(is_search, -1, interests.product[interest]),
        phrase=np.where(is_search, phrase, -1),
        quantity=np.where(step >= CART, interests.quantity[interest], -1),
        payment=np.where(step == PURCHASE, payment, -1),
        time=time,
        arrival=time,
    )


def _until_the_end(rng: np.random.Generator, session: Ints, step: Ints) -> Ints:
    """Milliseconds from each event to the last one of its session; no two events of a session share a millisecond."""
    pauses = 1 + (rng.exponential(1000.0, len(step)) * SECONDS_BEFORE[step]).clip(max=0.4 * HOUR).astype(np.int64)
    clock = np.cumsum(pauses)
    last = np.searchsorted(session, session, side="right") - 1
    left: Ints = clock[last] - clock
    return left


def _columns(events: Events) -> dict[str, Ints]:
    return {field.name: getattr(events, field.name) for field in fields(events)}
