-- view: A feed a row: sessions that viewed, carted, bought; the share (0 to 1) of those of one step that also took the other
-- after: funnel_by_day

-- Some feeds hold sessions that buy without a cart, or were cut before their first view: the steps are counted as they
-- are, and a conversion is the share of the sessions of one step that took the other too.

-- name: rows :: the view
SELECT
    feed,
    sum(sessions)::bigint AS sessions,
    sum(viewed)::bigint AS viewed,
    sum(carted)::bigint AS carted,
    sum(bought)::bigint AS bought,
    round(sum(viewed_and_carted) / nullif(sum(viewed), 0), 4) AS view_to_cart,
    round(sum(carted_and_bought) / nullif(sum(carted), 0), 4) AS cart_to_buy,
    round(sum(viewed_and_bought) / nullif(sum(viewed), 0), 4) AS view_to_buy
FROM {funnel_by_day}
GROUP BY feed;
