// Room Shop: what was sold in a range of days, against the range before; from there to the events, and to their bytes.

import {
  Ago,
  Box,
  Button,
  count,
  Figure,
  Figures,
  Flex,
  html,
  Input,
  Link,
  Moment,
  Notice,
  Raw,
  ROOT,
  Section,
  Table,
  Text,
  trigger,
  TroubleNotice,
  useAnswer,
  useEffect,
  useFilters,
  useState,
} from "../kit.js";
import { Bars } from "../bars.js";
import { address, amount, Changed, inEvents, List, money, percent, queryOf, rangeOf, Source } from "../shop_parts.js";
import { Event, Events } from "./shop_events.js";

const FOLLOW_MS = 5000;
const SPANS = { today: "Today", "7d": "7 days", "28d": "28 days", month: "Month", own: "From … to …" };

export function Shop({ parts }) {
  const [place, ...more] = parts;
  if (place === "events" && more.length === 2) return html`<${Event} file=${more[0]} record=${more[1]} />`;
  return html`<${Reports} place=${place ?? ""} />`;
}

// The answer to a question, asked again when the reports were refreshed, and while there is trouble.
function useFollowed(path, query, asOf) {
  const [every, setEvery] = useState(0);
  const found = useAnswer(`shop/${path}`, { ...query, of: asOf }, every);
  const code = found.trouble?.code;
  useEffect(() => setEvery(code && code !== "forbidden" && code !== "error" ? FOLLOW_MS : 0), [code]);
  return found;
}

function Reports({ place }) {
  const { answer: state, trouble } = useAnswer("shop", {}, FOLLOW_MS);
  if (!state) return html`<${TroubleNotice} trouble=${trouble} />`;
  if (!state.as_of) return html`<${TroubleNotice} trouble=${trouble} /><${NoReport} state=${state} />`;
  const room = { "": Overview, events: Events, product: Product, term: Term }[place];
  if (!room) return html`<${Notice} title="There is no such page."><${Link} to=${`${ROOT}/shop`}>To the shop<//><//>`;
  return html`<${TroubleNotice} trouble=${trouble} /><${Freshness} state=${state} /><${room} state=${state} />`;
}

const Freshness = ({ state }) => html`
  <${Text} fontSize="sm" color="fg.muted" mt=${3} aria-live="polite">
    Reports as of <${Moment} at=${state.as_of} /> (<${Ago} at=${state.as_of} />), days of ${state.zone};${" "}
    ${state.changes_waiting === 0
      ? "no change waits."
      : `${state.changes_waiting > 10000 ? "more than 10,000" : count(state.changes_waiting)} ${
          state.changes_waiting === 1 ? "change waits" : "changes wait"
        } for the next refresh.`}
  <//>
  ${state.failed_at &&
  html`<${Notice} level="bad" title="The last refresh failed: the figures are those of the one before.">
    It failed <${Ago} at=${state.failed_at} />; <code>make status</code> says why, and${" "}
    <${Link} to="/dags/report_sales">DAG report_sales<//> tries again.
  <//>`}`;

// --- before there is anything

function NoReport({ state }) {
  return html`<${Section} title="No report has been counted yet">
    ${state.has_events
      ? html`<${Text}>Files are loaded: DAG report_sales counts them at its next run, or now.<//><${CountNow} />`
      : html`<${Text}>No file is loaded yet.<//><${NoEvents} state=${state} />`}
  <//>`;
}

function CountNow() {
  const [said, setSaid] = useState("");
  const start = () =>
    trigger("report_sales", {}).then(
      () => setSaid("It counts; the figures come by themselves."),
      (trouble) => setSaid(trouble.code === "forbidden" ? "Your role in Airflow may not start it." : trouble.message),
    );
  return html`<${Flex} gap=${3} align="center" mt=${2} wrap="wrap">
    <${Button} size="sm" onClick=${start}>Count now<//>
    <span role="status">${said}</span>
  <//>`;
}

const NoEvents = ({ state }) =>
  state.generates
    ? html`<${Text}>The generator makes some every few seconds. Or land a CSV file of your own.<//>`
    : html`<${Text}>
        The generator is off: land a CSV file, or start again with <code>SLUICE_GENERATOR=on</code> for made-up events.
      <//>`;

// --- what is chosen

function Choice({ filters, change, state, answer }) {
  const span = filters.span ?? "28d";
  const range = answer?.range;
  const own = (name) => (event) =>
    event.target.value && change({ span: "own", first: range?.first, last: range?.last, [name]: event.target.value });
  const choose = (value) =>
    value === "own"
      ? change({ span: "own", first: range?.first ?? state.today, last: range?.last ?? state.today })
      : change({ span: value === "28d" ? null : value, first: null, last: null });
  const currencies = answer?.currencies ?? [];
  return html`<${Flex} gap=${3} wrap="wrap" align="end" mt=${3}>
    <${Flex} role="group" aria-label="Range of days" gap=${1} wrap="wrap">
      ${Object.entries(SPANS).map(
        ([value, title]) => html`<${Button}
          key=${value}
          size="sm"
          variant=${value === span ? "solid" : "outline"}
          aria-pressed=${value === span}
          onClick=${() => choose(value)}
          >${title}<//
        >`,
      )}
    <//>
    ${span === "own" &&
    ["first", "last"].map(
      (name) => html`<${Box} as="label" key=${name} fontSize="sm">
        ${name === "first" ? "from" : "to"}${" "}
        <${Input} type="date" size="sm" w="10rem" value=${filters[name] ?? ""} onChange=${own(name)} />
      <//>`,
    )}
    <${Choose}
      label="feed"
      value=${filters.feed ?? ""}
      onChange=${(feed) => change({ feed, currency: null })}
      options=${[["", "the shop's own"], ...state.feeds.map(({ feed }) => [feed, feed])]}
    />
    ${currencies.length > 1 &&
    html`<${Choose}
      label="currency"
      value=${answer.currency}
      onChange=${(currency) => change({ currency })}
      options=${currencies.map((currency) => [currency, currency || "none named"])}
    />`}
  <//>`;
}

const Choose = ({ label, value, onChange, options }) => html`
  <${Box} as="label" fontSize="sm">
    ${label}${" "}
    <${Box}
      as="select"
      borderWidth="1px"
      borderColor="border.emphasized"
      borderRadius="sm"
      bg="bg"
      px=${2}
      py=${1}
      maxW="14rem"
      value=${value}
      onChange=${(event) => onChange(event.target.value)}
    >
      ${options.map(([key, title]) => html`<option key=${key} value=${key}>${title}</option>`)}
    <//>
  <//>`;

// --- the room

function Overview({ state }) {
  const [filters, change] = useFilters();
  const query = queryOf(filters);
  const { answer, trouble } = useFollowed("figures", query, state.as_of);
  const choice = html`<${Choice} filters=${filters} change=${change} state=${state} answer=${answer} />`;
  if (!answer) return html`${choice}<${TroubleNotice} trouble=${trouble} />`;
  const shared = { query, answer, state };
  return html`${choice}<${TroubleNotice} trouble=${trouble} />
    <${Text} fontSize="sm" mt=${2}>
      ${rangeOf(answer.range)}, against ${rangeOf(answer.before)}${answer.range.last >= answer.today &&
      "; the range is not over yet"}.${" "}
      ${answer.feeds.length ? html`Feeds: <${Raw} text=${answer.feeds.join(", ")} />.` : "No feed is the shop's."}
    <//>
    ${!state.has_events && html`<${Notice} title="No feed has events yet."><${NoEvents} state=${state} /><//>`}
    <${Totals} ...${shared} />
    <${Revenue} ...${shared} change=${change} />
    <${Funnel} ...${shared} />
    <${Customers} ...${shared} />
    <${Products} ...${shared} />
    <${Searches} ...${shared} />`;
}

const against = (change, before) => html`<${Changed} change=${change} before=${before} />`;

function Totals({ query, answer, state }) {
  const { sums, sums_before, changes, ...sales } = answer.sales;
  const { funnel, customers } = answer;
  const { answer: now } = useFollowed("active", query, state.as_of);
  const in_money = (value) => amount(value, answer.currency);
  return html`<${Section} title="The shop in figures">
    <${Figures}>
      <${Figure} label="revenue" value=${in_money(sums.revenue)} detail=${against(changes.revenue, in_money(sums_before.revenue))} />
      <${Figure} label="orders" value=${count(sums.orders)} detail=${against(changes.orders, count(sums_before.orders))} />
      <${Figure} label="average basket" value=${in_money(sales.basket)} detail=${against(sales.basket_change, in_money(sales.basket_before))} />
      <${Figure} label="units" value=${count(sums.units)} detail=${against(changes.units, count(sums_before.units))} />
      <${Figure} label="sessions" value=${count(funnel.sums.sessions)} detail=${against(funnel.changes.sessions, count(funnel.sums_before.sessions))} />
      <${Figure}
        label="sessions that viewed and bought"
        value=${percent(funnel.conversions.view_to_buy)}
        detail=${`before: ${percent(funnel.conversions_before.view_to_buy)}`}
      />
      <${Figure}
        label="new customers"
        value=${count(customers.sums.new_customers)}
        detail=${against(customers.changes.new_customers, count(customers.sums_before.new_customers))}
      />
      <${Figure}
        label=${customers.are_distinct ? "returning customers" : "returning customers, day by day"}
        value=${count(customers.sums.returning_customers)}
        detail=${against(customers.changes.returning_customers, count(customers.sums_before.returning_customers))}
      />
      <${Figure} label="active sessions" value=${count(now?.sessions)} detail="in the half an hour before the refresh" />
    <//>
  <//>`;
}

// Chart and table side by side, below them the SQL and the file.
const Chart = ({ title, says, bars, table, source, empty, children }) => html`
  <${Section} title=${title}>
    ${says && html`<${Text} fontSize="sm" color="fg.muted" mb=${2}>${says}<//>`}
    ${empty
      ? html`<${Text} py=${2}>${empty}<//>`
      : html`<${Box} display="grid" gap=${5} gridTemplateColumns=${{ base: "minmax(0, 1fr)", lg: "minmax(0, 3fr) minmax(0, 2fr)" }}>
          ${bars}
          <${Box} maxH="15rem" overflowY="auto" tabIndex=${0} role="group" aria-label=${`${title}, as a table`}>${table}<//>
        <//>`}
    ${children}
    <${Source} ...${source} />
  <//>`;

// All days of a range, also those on which nothing happened.
function daysOf({ first, last }) {
  const days = [];
  for (let day = new Date(`${first}T00:00:00Z`); day <= new Date(`${last}T00:00:00Z`); day.setUTCDate(day.getUTCDate() + 1))
    days.push(day.toISOString().slice(0, 10));
  return days;
}

const byDay = (rows) => Object.fromEntries(rows.map((row) => [row.day, row]));

function Revenue({ query, answer, change }) {
  const { rows, sums } = answer.sales;
  const of = { ...query, currency: answer.currency, type: "sale" };
  const said = (value) => amount(value, answer.currency);
  const source = { path: answer.hours ? "csv/hours" : "csv/sales", query, sql: (answer.hours ?? answer.sales).sql };
  const title = answer.hours ? "Revenue by hour" : "Revenue by day";
  if (!rows.length)
    return html`<${Section} title=${title}><${NothingSold} answer=${answer} change=${change} /><${Source} ...${source} /><//>`;
  const found = byDay(rows);
  const shown = answer.hours
    ? answer.hours.rows.map((row) => ({ key: row.at, row, to: inEvents({ ...of, day: answer.range.first, hour: row.hour }) }))
    : daysOf(answer.range)
        .filter((day) => day <= answer.today || found[day])
        .map((day) => ({ key: day, row: found[day], to: found[day] && inEvents({ ...of, day }), open: day === answer.today }));
  const bars = shown.map(({ row, ...bar }) => ({
    ...bar,
    values: [Number(row?.revenue ?? 0)],
    title: `${bar.key}: ${said(row?.revenue ?? 0)}, ${count(row?.purchases ?? 0)} purchases`,
  }));
  const columns = [
    { name: "key", head: answer.hours ? "hour" : "day", of: ({ key, to }) => html`<${Link} to=${to}>${key}<//>` },
    { name: "revenue", head: "revenue", number: true, of: ({ row }) => money(row.revenue) },
    ...(answer.hours ? [] : [{ name: "orders", head: "orders", number: true, of: ({ row }) => count(row.orders) }]),
    { name: "purchases", head: "purchases", number: true, of: ({ row }) => count(row.purchases) },
    { name: "cancellations", head: "cancelled", number: true, of: ({ row }) => count(row.cancellations) },
  ];
  return html`<${Chart}
    title=${title}
    says="Purchases less cancellations. An order is what one session buys; without a session, what one user buys on a day."
    bars=${html`<${Bars} label=${`${title}: ${said(sums.revenue)} in all`} bars=${bars} series=${["revenue"]} said=${said} />`}
    table=${html`<${Table} label=${title} rows=${shown.filter(({ row }) => row)} columns=${columns} keyOf=${({ key, to }) => key + to} />`}
    source=${source}
  />`;
}

function NothingSold({ answer, change }) {
  const last = answer.last_sale;
  const show = () => change({ span: "own", first: last, last });
  return html`<${Text} mb=${2}>Nothing was sold in this range.<//>
    ${last
      ? html`<${Button} size="sm" variant="outline" onClick=${show}>Show ${last}, the last day of a sale<//>`
      : html`<${Text} fontSize="sm">
          An event is a sale when its contract makes its event_type 'purchase' or 'cancellation', and its feed's sales count.
        <//>`}`;
}

function Funnel({ query, answer }) {
  const { rows, sql, sums, conversions } = answer.funnel;
  const steps = [
    ["sessions", "Sessions", "", "all"],
    ["viewed", "Viewed a product", "", "product_view"],
    ["carted", "Put it in a cart", `${percent(conversions.view_to_cart)} of those that viewed`, "add_to_cart"],
    ["bought", "Bought", `${percent(conversions.cart_to_buy)} of those with a cart`, "purchase"],
  ];
  const picture = html`<${Box} as="ul" listStyleType="none">
    ${steps.map(
      ([name, title, then]) => html`<${Box} as="li" key=${name} mb=${2}>
        <${Flex} justify="space-between" fontSize="sm" gap=${2}>
          <span>${title}</span><span>${then}${then && ", "}${count(sums[name])}</span>
        <//>
        <${Box} bg="bg.emphasized" h="0.8rem" aria-hidden="true">
          <${Box} bg="blue.solid" h="100%" style=${{ width: `${sums.sessions ? (100 * sums[name]) / sums.sessions : 0}%` }} />
        <//>
      <//>`,
    )}
  <//>`;
  const columns = [
    { name: "day", head: "day", of: (row) => row.day },
    ...steps.map(([name, title, , type]) => ({
      name,
      head: title,
      number: true,
      of: (row) => html`<${Link} to=${inEvents({ ...query, day: row.day, type })}>${count(row[name])}<//>`,
    })),
  ];
  return html`<${Chart}
    title="Funnel"
    says="Sessions that began in the range, by the steps that they took; some buy without a cart. A number opens the events of its day."
    bars=${picture}
    table=${html`<${Table} label="Funnel by day" rows=${[...rows].reverse()} columns=${columns} keyOf=${({ day }) => day} />`}
    source=${{ path: "csv/funnel", query, sql }}
    empty=${!rows.length && "No session began in this range. The contract of the feed must fill session_id."}
  />`;
}

function Customers({ query, answer }) {
  const { rows, sql, sums_sql, are_distinct, sums } = answer.customers;
  const to = (row) => inEvents({ ...query, day: row.day, type: "purchase", currency: answer.currency });
  const bars = daysOf(answer.range)
    .filter((day) => day <= answer.today || byDay(rows)[day])
    .map((day) => {
      const row = byDay(rows)[day] ?? { day, new_customers: 0, returning_customers: 0 };
      const title = `${day}: ${count(row.new_customers)} new, ${count(row.returning_customers)} returning`;
      return { key: day, title, values: [row.new_customers, row.returning_customers], to: to(row), open: day === answer.today };
    });
  const columns = [
    { name: "day", head: "day", of: (row) => html`<${Link} to=${to(row)}>${row.day}<//>` },
    { name: "new", head: "new", number: true, of: (row) => count(row.new_customers) },
    { name: "returning", head: "returning", number: true, of: (row) => count(row.returning_customers) },
  ];
  const says = are_distinct
    ? "Users who bought: for the first time, or again. Each counts once in the range, and once for each feed."
    : "Users who bought: for the first time, or again. Each counts once a day: the returning ones of this range are a sum of its days. " +
      "A single day, or a whole month, counts each once.";
  const label = `Customers by day: ${count(sums.new_customers)} new, ${count(sums.returning_customers)} returning`;
  return html`<${Chart}
    title="New and returning customers"
    says=${says}
    bars=${html`<${Bars} label=${label} bars=${bars} series=${["new", "returning"]} said=${count} />`}
    table=${html`<${Table} label="Customers by day" rows=${[...rows].reverse()} columns=${columns} keyOf=${({ day }) => day} />`}
    source=${{ path: "csv/customers", query, sql: sums_sql ? `${sql}\n\n${sums_sql}` : sql }}
    empty=${!rows.length && "No purchase of this range names its user. The contract of the feed must fill user_id."}
  />`;
}

function Products({ query, answer, state }) {
  const { answer: found, trouble } = useFollowed("products", query, state.as_of);
  const page = (row) => `${ROOT}/shop/product?${new URLSearchParams({ ...query, product: row.product_id })}`;
  const columns = [
    { name: "product", head: "product", of: (row) => html`<${Link} to=${page(row)}><${Raw} text=${row.product_id} /><//>` },
    { name: "category", head: "category", of: (row) => html`<${Raw} text=${row.category ?? ""} />` },
    { name: "revenue", head: "revenue", number: true, of: (row) => money(row.revenue) },
    { name: "before", head: "range before", number: true, of: (row) => money(row.revenue_before) },
    { name: "units", head: "units", number: true, of: (row) => count(row.units) },
  ];
  return html`<${List}
    title="Top products"
    says="The 20 of most revenue in the range."
    found=${found}
    trouble=${trouble}
    columns=${columns}
    keyOf=${(row) => row.product_id}
    source=${{ path: "csv/products", query, sql: found?.sql }}
    empty="No sale of this range names a product. The contract of the feed must fill product_id."
  />`;
}

function Searches({ query, answer, state }) {
  const { answer: found, trouble } = useFollowed("searches", query, state.as_of);
  if (!found) return html`<${TroubleNotice} trouble=${trouble} />`;
  const rows = found.rows;
  const source = { path: "csv/searches", query, sql: found.sql };
  const to = (row) => inEvents({ ...query, day: row.day, clock: "utc", type: "search_in_vain" });
  const empty = found.most_days
    ? `Searches are of at most ${found.most_days} days: choose a shorter range.`
    : !rows.length && "Nothing was looked for in this range. The contract of the feed must make events of type 'search', with a search_query.";
  if (empty) return html`<${Chart} title="Searches without result" source=${source} empty=${empty} />`;
  const bars = daysOf(found.range)
    .filter((day) => day <= found.today || byDay(rows)[day])
    .map((day) => {
      const row = byDay(rows)[day] ?? { day, searches: 0, without_result: 0 };
      return { key: day, title: `${day}: ${count(row.without_result)} of ${count(row.searches)} found nothing`, values: [row.without_result], to: to(row) };
    });
  const columns = [
    { name: "day", head: "day", of: (row) => html`<${Link} to=${to(row)}>${row.day}<//>` },
    { name: "vain", head: "without result", number: true, of: (row) => count(row.without_result) },
    { name: "all", head: "searches", number: true, of: (row) => count(row.searches) },
  ];
  const says = found.zone === "UTC" ? "" : `Searches are counted by days of UTC, not of ${found.zone}. `;
  const label = `Searches without result by day: ${count(found.sums.without_result)} of ${count(found.sums.searches)}`;
  return html`<${TroubleNotice} trouble=${trouble} /><${Chart}
    title="Searches without result"
    says=${`${says}${count(found.sums.without_result)} of ${count(found.sums.searches)} searches found nothing; in the range before ${count(found.sums_before.without_result)} of ${count(found.sums_before.searches)}.`}
    bars=${html`<${Bars} label=${label} bars=${bars} series=${["without result"]} said=${count} />`}
    table=${html`<${Table} label="Searches by day" rows=${[...rows].reverse()} columns=${columns} keyOf=${({ day }) => day} />`}
    source=${source}
    ><${Terms} query=${query} state=${state}
  /><//>`;
}

function Terms({ query, state }) {
  const { answer: found, trouble } = useFollowed("terms", query, state.as_of);
  if (trouble?.code === "forbidden")
    return html`<${Text} fontSize="sm" mt=${2}>
      What was looked for may name a person: seeing it takes the right to trigger replay_quarantine in Airflow.
    <//>`;
  const page = (row) => `${ROOT}/shop/term?${new URLSearchParams({ ...query, term: row.term })}`;
  const columns = [
    { name: "term", head: "looked for", of: (row) => html`<${Link} to=${page(row)}><${Raw} text=${row.term} /><//>` },
    { name: "vain", head: "without result", number: true, of: (row) => count(row.without_result) },
    { name: "all", head: "searches of it on those days", number: true, of: (row) => count(row.searches) },
  ];
  return html`<${List}
    title="Looked for and not found"
    says="Words to add to products, or products to add to the shop."
    found=${found}
    trouble=${trouble}
    columns=${columns}
    keyOf=${(row) => row.term}
    source=${{ path: "csv-of-terms", query, sql: found?.sql }}
    empty="No search of this range came back empty."
  />`;
}

// --- one product, one term: its days

const Back = ({ query }) => html`<${Text} mt=${3}><${Link} to=${address(`${ROOT}/shop`, query)}>‹ Shop<//><//>`;

function Product({ state }) {
  const [filters] = useFilters();
  const query = queryOf(filters);
  const { answer, trouble } = useFollowed("product", { ...query, product: filters.product }, state.as_of);
  return html`<${OfOne}
    ...${{ query, answer, trouble, name: filters.product, title: "Product" }}
    value=${(row) => Number(row.revenue)}
    said=${(value) => amount(value, answer?.currency)}
    series="revenue"
    to=${(row) => inEvents({ ...query, day: row.day, type: "sale", product: filters.product, currency: answer.currency })}
    columns=${[
      { name: "revenue", head: "revenue", number: true, of: (row) => money(row.revenue) },
      { name: "units", head: "units", number: true, of: (row) => count(row.units) },
      { name: "purchases", head: "purchases", number: true, of: (row) => count(row.purchases) },
    ]}
    empty="It was not sold in this range."
  />`;
}

function Term({ state }) {
  const [filters] = useFilters();
  const query = queryOf(filters);
  const { answer, trouble } = useFollowed("term", { ...query, term: filters.term }, state.as_of);
  return html`<${OfOne}
    ...${{ query, answer, trouble, name: filters.term, title: "Looked for" }}
    value=${(row) => row.searches}
    said=${count}
    series="searches"
    to=${(row) => inEvents({ ...query, day: row.day, clock: "utc", type: "search", term: filters.term })}
    columns=${[
      { name: "searches", head: "searches", number: true, of: (row) => count(row.searches) },
      { name: "vain", head: "without result", number: true, of: (row) => count(row.without_result) },
    ]}
    empty="It was not looked for in this range."
  />`;
}

function OfOne({ query, answer, trouble, name, title, value, said, series, to, columns, empty }) {
  if (!answer) return html`<${Back} query=${query} /><${TroubleNotice} trouble=${trouble} />`;
  const bars = answer.rows.map((row) => ({
    key: row.day,
    title: `${row.day}: ${said(value(row))}`,
    values: [value(row)],
    to: to(row),
  }));
  const all = [{ name: "day", head: "day", of: (row) => html`<${Link} to=${to(row)}>${row.day}<//>` }, ...columns];
  return html`<${Back} query=${query} /><${TroubleNotice} trouble=${trouble} />
    <${Text} mt=${2}>${title}: <strong><${Raw} text=${name ?? ""} /></strong>, ${rangeOf(answer.range)}<//>
    <${Chart}
      title=${`By day: ${series}`}
      bars=${html`<${Bars} label=${`${series} by day`} bars=${bars} series=${[series]} said=${said} />`}
      table=${html`<${Table} label="Its days" rows=${[...answer.rows].reverse()} columns=${all} keyOf=${({ day }) => day} />`}
      source=${{ sql: answer.sql }}
      empty=${!answer.rows.length && (answer.most_days ? `Choose at most ${answer.most_days} days.` : empty)}
    />`;
}
