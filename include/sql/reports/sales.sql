-- step: A purchase or a cancellation a row, with its signed units and amount

-- Purchases and cancellations. Revenue counts both, signed as they come: a cancellation carries a negative quantity and
-- total. A feed without totals is price times quantity, one piece when it names no quantity. A sale with neither total
-- nor price counts as a sale of 0.

-- name: rows :: its rows
WITH counted AS (
    SELECT
        event_type,
        event_time,
        user_id,
        product_id,
        session_id,
        price,
        total_amount,
        coalesce(quantity, CASE event_type WHEN 'cancellation' THEN -1 ELSE 1 END) AS units
    FROM public.events
    WHERE event_type IN ('purchase', 'cancellation')
)
SELECT
    event_type,
    event_time,
    user_id,
    product_id,
    session_id,
    units,
    coalesce(total_amount, price * units, 0) AS amount
FROM counted;
