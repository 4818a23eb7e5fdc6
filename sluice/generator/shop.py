"""The shop and its customers: pools made by Faker, the same in every batch and on every machine.

The pools have a seed of their own, so that a product keeps its price and a user keeps the devices from one batch to
the next, whatever the seed of the batch. Texts are CSV fields already: quoted where they need it, encoded as UTF-8.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from faker import Faker

from sluice.generator import arrow
from sluice.generator.types import Floats, Ints

USERS = 5_000
DEVICES_PER_USER = 2
AGENTS = 400
PRODUCTS = 2_000
PHRASES_PER_CATEGORY = 40
MOST_OF_ONE_PRODUCT = 5
# The last phrase of each category spans two lines; a popularity of 1/rank makes it rare.
TWO_LINE_PHRASE = PHRASES_PER_CATEGORY - 1

# category: (the middle of its prices, what it sells)
CATEGORIES: dict[str, tuple[float, tuple[str, ...]]] = {
    "electronics": (89.0, ("headphones", '27" monitor', "keyboard", "usb-c charger", "power bank", "smart watch")),
    "phones": (349.0, ("phone", "phone case", '6.1" phone', "screen protector")),
    "kitchen": (34.0, ("frying pan", "kettle", "café crème mug", "knife set", "blender")),
    "furniture": (229.0, ("desk", "sofa, 3 seats", "office chair", "bookshelf")),
    "garden": (28.0, ("hose, 20 m", "plant pot", "lawn mower", "bird feeder")),
    "toys": (24.0, ("building blocks", "puzzle, 1000 pieces", "plush bear", "board game")),
    "sports": (49.0, ("yoga mat", "running shoes", "dumbbells, 2 x 5 kg", "bike helmet")),
    "fashion": (39.0, ("t-shirt", "Sandalen Größe 42", "jeans", "winter coat", "wool socks")),
    "beauty": (19.0, ("shampoo", "crème hydratante", "lipstick", "perfume")),
    "books": (14.0, ("novel", "cookbook", 'book "Faust"', "atlas", "comic")),
    "grocery": (7.0, ("coffee beans", "olive oil", "日本茶", "chocolate", "jalapeño 🌶")),
    "pets": (21.0, ("dog food", "cat tree", "aquarium filter", "leash")),
}
# What people look for in vain: typing errors, things that the shop does not sell, numbers of elsewhere.
VAIN_PHRASES = (
    "hedphones", "smrat watch", "vinyl record player 78rpm", "piano, grand", '19" rack server', "tractor",
    "hunde leine rot", "cofee baens", "ps6 preorder", "4006381333931", "horse saddle", "süßkartoffelpflanze",
)  # fmt: skip
PAYMENT_METHODS = ("credit_card", "paypal", "debit_card", "apple_pay", "google_pay", "bank_transfer")
PAYMENT_WEIGHTS = (0.38, 0.24, 0.16, 0.09, 0.07, 0.06)


@dataclass(frozen=True)
class Shop:
    """Pools of CSV fields, and the numbers that tie one pool to another."""

    user_ids: pa.Array
    ip_addresses: pa.Array  # one per device: user * DEVICES_PER_USER + device
    agents: pa.Array
    agent_of_device: Ints
    product_ids: pa.Array
    categories: pa.Array
    category_of: Ints
    prices: pa.Array
    totals: pa.Array  # product * MOST_OF_ONE_PRODUCT + quantity - 1
    phrases: pa.Array  # category * PHRASES_PER_CATEGORY + rank; after them the vain ones
    results_of_phrase: pa.Array
    payment_methods: pa.Array
    product_popularity: Floats  # cumulative, ends at 1
    user_activity: Floats  # cumulative, ends at 1
    phrase_popularity: Floats  # cumulative, ends at 1
    payment_popularity: Floats  # cumulative, ends at 1

    @property
    def first_vain_phrase(self) -> int:
        """Index of the first phrase that finds nothing."""
        return len(CATEGORIES) * PHRASES_PER_CATEGORY


def csv_field(text: str) -> bytes:
    """``text`` as one CSV field in UTF-8: in quotes when it holds a comma, a quote or a line break."""
    if any(sign in text for sign in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()


def pool(texts: Iterable[str]) -> pa.Array:
    """An arrow array of CSV fields."""
    return arrow.texts([csv_field(text) for text in texts])


def cumulative(weights: npt.ArrayLike) -> Floats:
    """Running sums of ``weights``, scaled to end at 1: what ``draw`` searches."""
    sums: Floats = np.cumsum(np.asarray(weights, dtype=np.float64))
    scaled: Floats = sums / sums[-1]
    return scaled


def draw(rng: np.random.Generator, sums: Floats, size: int) -> Ints:
    """``size`` indexes, each as likely as its weight in the running ``sums``."""
    return np.searchsorted(sums, rng.random(size), side="right").astype(np.int64)


@functools.cache
def open_shop() -> Shop:
    """Make the pools; the same ones at every call and in every process."""
    fake = Faker("en_US")
    fake.seed_instance(20_261)
    rng = np.random.default_rng(20_261)
    category_of = rng.integers(0, len(CATEGORIES), PRODUCTS)
    cents = _prices(rng, category_of)
    phrases = [phrase for _, things in CATEGORIES.values() for phrase in _phrases(fake, things)]
    results = [str(count) for count in 1 + rng.geometric(0.02, len(phrases))] + ["0"] * len(VAIN_PHRASES)
    return Shop(
        user_ids=pool(fake.unique.numerify("u%######") for _ in range(USERS)),
        ip_addresses=pool(_address(fake, number) for number in range(USERS * DEVICES_PER_USER)),
        agents=pool(_agent(fake, number) for number in range(AGENTS)),
        agent_of_device=rng.integers(0, AGENTS, USERS * DEVICES_PER_USER),
        product_ids=pool(fake.unique.bothify("???-#####", "ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(PRODUCTS)),
        categories=pool(CATEGORIES),
        category_of=category_of,
        prices=pool(_money(value) for value in cents),
        totals=pool(_money(value * count) for value in cents for count in range(1, MOST_OF_ONE_PRODUCT + 1)),
        phrases=pool([*phrases, *VAIN_PHRASES]),
        results_of_phrase=pool(results),
        payment_methods=pool(PAYMENT_METHODS),
        product_popularity=cumulative(1 / (1.0 + rng.permutation(PRODUCTS)) ** 0.8),
        user_activity=cumulative(rng.lognormal(0, 1, USERS)),
        phrase_popularity=cumulative(1 / (1.0 + np.arange(PHRASES_PER_CATEGORY))),
        payment_popularity=cumulative(PAYMENT_WEIGHTS),
    )


def _prices(rng: np.random.Generator, category_of: Ints) -> list[int]:
    """Prices in cents, log-normal around the middle of the category, with the endings that shops like."""
    middle = np.array([price for price, _ in CATEGORIES.values()])
    whole = np.maximum(1, np.rint(middle[category_of] * rng.lognormal(0, 0.5, PRODUCTS)))
    ending = rng.choice([0.99, 0.95, 0.49, 0.0], PRODUCTS, p=[0.55, 0.2, 0.15, 0.1])
    return [int(value) for value in np.rint((whole - 1 + ending).clip(min=0.49) * 100)]


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _phrases(fake: Faker, things: tuple[str, ...]) -> list[str]:
    """What people type when they look for ``things``: bare names first (they are typed most), one of two lines last."""
    phrases = list(things)
    while len(phrases) < TWO_LINE_PHRASE:
        colour, thing = fake.safe_color_name(), fake.random_element(things)
        phrases.append(fake.random_element((f"{colour} {thing}", f"{thing}, {colour}", f"{thing} {colour} cheap")))
    return [*phrases, f"{things[0]}\nfor {fake.first_name()}"]


def _address(fake: Faker, number: int) -> str:
    return str(fake.ipv6() if number % 10 == 0 else fake.ipv4_public())


def _agent(fake: Faker, number: int) -> str:
    """A user agent; every tenth is the shop's own app, whose name of the phone stands in quotes."""
    if number % 10 == 0:
        return f'ShopApp/{fake.numerify("%.#")} ("{fake.first_name()}\'s phone"; {fake.android_platform_token()})'
    return str((fake.chrome, fake.safari, fake.opera)[number % 3]())
