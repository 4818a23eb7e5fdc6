"""Which section of the page shows which query, how, and what it says when there is nothing to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sluice.reports.html import lists, pictures
from sluice.reports.html.charts import Chart
from sluice.reports.html.pictures import Rows
from sluice.reports.html.spans import Span

_HOW = "docs/contracts.md says how."


@dataclass(frozen=True)
class Part:
    """One picture or list: ``query`` is its name under include/sql, ``csv`` the file that has all rows.

    ``says`` is what is counted, ``empty`` what to do when nothing is there. ``shape``: wide, it takes
    the width of the page, or tall, it stands beside two others.
    """

    name: str
    title: str
    says: str
    query: str
    draw: Callable[[Rows, Span, str], Chart | None]
    empty: str
    csv: str
    shape: str = ""


SHOP = Part(
    "revenue-by-day",
    "Revenue by day",
    "Purchases less cancellations, over all feeds that are the shop's; the line is the revenue of 28 days before.",
    "page.shop_by_day",
    pictures.shop_by_day,
    "Nothing was sold in these days. make load FILE=… loads a file of sales.",
    "shop_by_day",
    shape="wide",
)

# Of a feed and currency: shown when the feed counts sales.
SALES = (
    Part(
        "revenue-by-hour",
        "Revenue by hour, two days",
        "Purchases less cancellations, by the hour of the shop's zone.",
        "page.revenue_by_hour",
        pictures.revenue_by_hour,
        "Nothing was sold in these 48 hours. Earlier hours are in the CSV file.",
        "revenue_by_hour",
    ),
    Part(
        "hour-of-week",
        "Hours of the week",
        "Purchases of all time, by weekday and hour of the shop's zone.",
        "page.hour_of_week",
        pictures.hour_of_week,
        "There is no purchase yet: an event counts as one when its contract makes its event_type 'purchase'.",
        "hour_of_week",
    ),
    Part(
        "orders",
        "Orders",
        "An order is what one session buys; without a session, what one user buys on a day.",
        "page.orders_by_day",
        pictures.orders_by_day,
        "Nothing was ordered in these days. Earlier days are in the CSV file.",
        "orders_by_day",
    ),
    Part(
        "baskets",
        "Baskets",
        "Revenue of a day for each of its orders.",
        "page.orders_by_day",
        pictures.baskets,
        "Nothing was ordered in these days. Earlier days are in the CSV file.",
        "orders_by_day",
    ),
    Part(
        "products",
        "Products",
        "The 20 of most revenue, of all time.",
        "page.products",
        lists.products,
        f"No sale names a product. The contract of the feed must fill product_id: {_HOW}",
        "products",
        shape="tall",
    ),
    Part(
        "categories",
        "Categories",
        "By revenue, of all time.",
        "page.categories",
        lists.categories,
        f"No sale names a category. The contract of the feed may fill category: {_HOW}",
        "categories",
    ),
    Part(
        "payment-methods",
        "Payment methods",
        "By revenue, of all time.",
        "page.payment_methods",
        lists.payment_methods,
        f"No sale names how it was paid. The contract of the feed may fill payment_method: {_HOW}",
        "payment_methods",
    ),
)

# Of a feed.
VISITS = (
    Part(
        "funnel",
        "Funnel",
        "Sessions of all time that took each step; some buy without a cart, or were cut before their first view.",
        "page.funnel",
        pictures.funnel,
        f"No event has a session. The contract of the feed must fill session_id: {_HOW}",
        "funnel",
    ),
    Part(
        "customers",
        "New and returning customers",
        "Users who bought on a day: for the first time, or again.",
        "page.customers_by_day",
        pictures.customers_by_day,
        f"No purchase of these days names its user. The contract of the feed must fill user_id: {_HOW}",
        "customers_by_day",
    ),
    Part(
        "abandoned-carts",
        "Abandoned carts",
        "Sessions that put something in a cart: those that bought, and those that did not.",
        "page.abandoned_carts",
        pictures.abandoned_carts,
        "Nothing was put in a cart in these days. The contract of the feed must make events of type 'add_to_cart', "
        "with a session_id.",
        "abandoned_carts",
    ),
    Part(
        "bought-together",
        "Bought together",
        "The pairs of products that most orders have.",
        "page.bought_together",
        lists.bought_together,
        "No order has two products yet. Purchases of one order are known by their session_id.",
        "bought_together",
    ),
    Part(
        "cohorts",
        "Cohorts",
        "Customers by the month of their first purchase: the share that bought so many months later.",
        "page.cohorts",
        pictures.cohorts,
        f"No purchase names its user. The contract of the feed must fill user_id: {_HOW}",
        "cohorts",
        shape="wide",
    ),
    Part(
        "searches",
        "Searches",
        "What was most looked for; how many of the sessions that did put something in a cart, and how many bought.",
        "page.searches",
        lists.searches,
        "Nothing was looked for. The contract of the feed must make events of type 'search', with a search_query.",
        "searches",
    ),
    Part(
        "searches-without-result",
        "Searches without result",
        "What was looked for and not found: words to add to products, or products to add to the shop.",
        "page.searches_without_result",
        lists.searches_without_result,
        "No search came back empty, or no event says how many results it had (search_results_count).",
        "searches_without_result",
    ),
)

# The CSV files: the name of the query under include/sql and of the file, and what a row is.
CSV_FILES = {
    "shop_by_day": ("page_csv.shop_by_day", "the shop's days: a currency and day a row"),
    "sales_by_day": ("page_csv.sales_by_day", "a feed, currency and day a row"),
    "revenue_by_hour": ("page_csv.revenue_by_hour", "a feed, currency and hour a row"),
    "hour_of_week": ("page_csv.hour_of_week", "a feed, currency, weekday (1 is Monday) and hour a row"),
    "orders_by_day": ("page_csv.orders_by_day", "a feed, currency and day a row"),
    "products": ("page_csv.products", "a feed, currency and product a row"),
    "categories": ("page_csv.categories", "a feed, currency and category a row"),
    "payment_methods": ("page_csv.payment_methods", "a feed, currency and way to pay a row"),
    "funnel": ("page_csv.funnel", "a feed a row"),
    "customers_by_day": ("page_csv.customers_by_day", "a feed and day a row"),
    "cohorts": ("page_csv.cohorts", "a feed, month of the first purchase and month a row"),
    "bought_together": ("page_csv.bought_together", "a feed and pair of products a row"),
    "abandoned_carts": ("page_csv.abandoned_carts", "a feed and day a row"),
    "searches": ("page_csv.searches", "a feed and query a row"),
    "searches_without_result": ("page_csv.searches_without_result", "a feed and query without result a row"),
    "feeds": ("page_csv.feeds", "a feed a row: its currency, and whether it is the shop's"),
}
