-- cells: What was bought or cancelled, a feed and a UTC day: a product, user, basket, hour and payment method a row
-- find: hour, local_day, user_id, basket
-- within: session_id, user_id

-- Revenue counts purchases and cancellations, signed as they come: a cancellation carries a negative quantity and total.
-- A feed without totals is price times quantity, one piece when it names no quantity. A sale with neither total nor price
-- counts as a sale of 0. A basket is what one session has, without a session what one user buys on one day of the shop,
-- without both a single sale.

-- name: rows :: the cells
SELECT
    feed,
    unit,
    currency,
    hour,
    local_day,
    hour_of_day,
    coalesce('session ' || session_id, 'user ' || user_id || ' on ' || local_day, 'event ' || event_id) AS basket,
    session_id,
    user_id,
    product_id,
    category,
    payment_method,
    count(*) FILTER (WHERE is_purchase) AS purchases,
    count(*) FILTER (WHERE is_cancellation) AS cancellations,
    coalesce(sum(units) FILTER (WHERE is_purchase), 0) AS units_bought,
    coalesce(sum(amount) FILTER (WHERE is_purchase), 0) AS amount_bought,
    coalesce(sum(units), 0) AS units,
    coalesce(sum(amount), 0) AS revenue
FROM {events} AS events
WHERE is_purchase OR is_cancellation
GROUP BY
    feed, unit, currency, hour, local_day, hour_of_day, 7, session_id, user_id, product_id, category, payment_method;

-- name: check :: its sales and revenue add up to those of the days, counted apart
-- The amount of a sale is said here a second time, so that a mistake in one of them shows.
SELECT cells.sales = counted.sales AS sales_add_up, cells.revenue = counted.revenue AS revenue_adds_up
FROM (SELECT coalesce(sum(purchases + cancellations), 0) AS sales, coalesce(sum(revenue), 0) AS revenue FROM {sales}) AS cells
CROSS JOIN (
    SELECT
        count(*) AS sales,
        coalesce(sum(coalesce(total_amount, price * coalesce(quantity, CASE WHEN is_purchase THEN 1 ELSE -1 END))), 0) AS revenue
    FROM {events} AS events
    WHERE is_purchase OR is_cancellation
) AS counted;
