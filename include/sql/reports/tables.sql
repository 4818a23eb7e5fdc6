-- The published reports. A refresh changes the rows that changed, in one transaction: readers see the last
-- refresh or this one, never a missing or a half one, and their own views and grants on these tables stay.
-- Money is in the currency of the feed, signed: a purchase counts up, a cancellation down. Hours are UTC.
CREATE TABLE IF NOT EXISTS report.last_refresh (
    built_by           text PRIMARY KEY,
    as_of              timestamptz NOT NULL,
    events             bigint NOT NULL,
    events_of_sessions bigint NOT NULL,
    events_of_users    bigint NOT NULL,
    events_of_products bigint NOT NULL,
    sales              bigint NOT NULL,
    revenue            numeric NOT NULL
);
COMMENT ON TABLE report.last_refresh IS 'One row: the run that published, the moment its numbers are of, and their control totals';

CREATE TABLE IF NOT EXISTS report.revenue_by_hour (
    hour          timestamptz PRIMARY KEY,
    purchases     bigint NOT NULL,
    cancellations bigint NOT NULL,
    units         bigint NOT NULL,
    buyers        bigint NOT NULL,
    revenue       numeric NOT NULL
);
COMMENT ON TABLE report.revenue_by_hour IS 'One row an hour (UTC) in which something was bought or cancelled';

CREATE TABLE IF NOT EXISTS report.funnel (
    sessions     bigint NOT NULL,
    viewed       bigint NOT NULL,
    carted       bigint NOT NULL,
    bought       bigint NOT NULL,
    view_to_cart numeric,
    cart_to_buy  numeric,
    view_to_buy  numeric
);
COMMENT ON TABLE report.funnel IS
    'One row: sessions that viewed, carted, bought; and the share (0 to 1) of those of one step that also took the other';

CREATE TABLE IF NOT EXISTS report.top_products (
    product_id      text PRIMARY KEY,
    category        text,
    revenue         numeric NOT NULL,
    units           bigint NOT NULL,
    buyers          bigint NOT NULL,
    rank_by_revenue bigint NOT NULL,
    rank_by_units   bigint NOT NULL,
    rank_by_buyers  bigint NOT NULL
);
COMMENT ON TABLE report.top_products IS 'The products among the first hundred by revenue, by units or by buyers';

CREATE TABLE IF NOT EXISTS report.searches_without_result (
    search_query     text PRIMARY KEY,
    searches         bigint NOT NULL,
    users            bigint NOT NULL,
    last_searched_at timestamptz NOT NULL
);
COMMENT ON TABLE report.searches_without_result IS 'What was looked for and not found, without regard to case and outer blanks';

CREATE TABLE IF NOT EXISTS report.users (
    user_id    text PRIMARY KEY,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    sessions   bigint NOT NULL,
    events     bigint NOT NULL,
    views      bigint NOT NULL,
    carts      bigint NOT NULL,
    purchases  bigint NOT NULL,
    revenue    numeric NOT NULL
);
COMMENT ON TABLE report.users IS 'One row a user';

CREATE TABLE IF NOT EXISTS report.products (
    product_id    text PRIMARY KEY,
    category      text,
    lowest_price  numeric,
    highest_price numeric,
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    events        bigint NOT NULL,
    views         bigint NOT NULL,
    carts         bigint NOT NULL,
    purchases     bigint NOT NULL,
    units         bigint NOT NULL,
    buyers        bigint NOT NULL,
    revenue       numeric NOT NULL
);
COMMENT ON TABLE report.products IS 'One row a product that any event names; category is the last by name where events differ';

CREATE TABLE IF NOT EXISTS report.sessions (
    session_id text PRIMARY KEY,
    user_id    text,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,
    events     bigint NOT NULL,
    views      bigint NOT NULL,
    carts      bigint NOT NULL,
    purchases  bigint NOT NULL,
    revenue    numeric NOT NULL
);
COMMENT ON TABLE report.sessions IS 'One row a session; events without a session are in no row';

-- The reader owns these tables; whoever may use the schema may read them, its owner among them.
GRANT SELECT ON
    report.last_refresh, report.revenue_by_hour, report.funnel, report.top_products, report.searches_without_result,
    report.users, report.products, report.sessions
TO PUBLIC;

-- An unload refreshes them in its own transaction, as the writer.
DO $$
BEGIN
    GRANT INSERT, DELETE ON
        report.last_refresh, report.revenue_by_hour, report.funnel, report.top_products,
        report.searches_without_result, report.users, report.products, report.sessions
    TO sluice_writer;
EXCEPTION
    WHEN undefined_object THEN
        NULL;  -- one login for everything: it may already
END
$$;
