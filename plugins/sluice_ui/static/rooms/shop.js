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
  Moment,
  Notice,
  Raw,
  ROOT,
  Section,
  Text,
  trigger,
  TroubleNotice,
  useAnswer,
  useFilters,
  useState,
} from "../kit.js";
import { Customers, Funnel, Revenue } from "../shop_charts.js";
import { Product, Products, Searches, Term } from "../shop_lists.js";
import { address, amount, Changed, FOLLOW_MS, Go, GoRaw, headline, inEvents, percent, queryOf, rangeOf, useFollowed } from "../shop_parts.js";
import { Event, Events } from "./shop_events.js";

const SPANS = { today: "Today", "7d": "7 days", "28d": "28 days", month: "Month", own: "From … to …" };

export function Shop({ parts }) {
  const [place, ...more] = parts;
  if (place === "events" && more.length === 2) return html`<${Event} file=${more[0]} record=${more[1]} />`;
  return html`<${Reports} place=${place ?? ""} />`;
}

function Reports({ place }) {
  const { answer: state, trouble } = useAnswer("shop", {}, FOLLOW_MS);
  if (!state) return html`<${TroubleNotice} trouble=${trouble} />`;
  if (!state.as_of) return html`<${TroubleNotice} trouble=${trouble} /><${NoReport} state=${state} />`;
  const room = { "": Overview, events: Events, product: Product, term: Term }[place];
  if (!room) return html`<${Notice} title="There is no such page."><${Go} to=${`${ROOT}/shop`}>To the shop<//><//>`;
  return html`<${TroubleNotice} trouble=${trouble} /><${Freshness} state=${state} /><${room} state=${state} />`;
}

const Freshness = ({ state }) => html`
  <${Text} fontSize="sm" color="fg.muted" mt=${3}>
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
    <${Go} to="/dags/report_sales">DAG report_sales<//> tries again.
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
  // A day beyond the other end takes that one along.
  const own = (name) => (event) => {
    const day = event.target.value;
    const { first = range?.first, last = range?.last } = filters;
    if (!day) return;
    if (name === "first") change({ span: "own", first: day, last: last < day ? day : last });
    else change({ span: "own", first: first > day ? day : first, last: day });
  };
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
      value=${answer.currency || "-"}
      onChange=${(currency) => change({ currency })}
      options=${currencies.map((currency) => [currency || "-", currency || "none named"])}
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
    ${!query.feed && html`<${LeftOut} feeds=${state.feeds.filter((feed) => !feed.is_of_shop)} query=${query} />`}
    ${!state.has_events && html`<${Notice} title="No feed has events yet."><${NoEvents} state=${state} /><//>`}
    <${Totals} ...${shared} />
    <${Revenue} ...${shared} change=${change} />
    <${Funnel} ...${shared} />
    <${Customers} ...${shared} />
    <${Products} ...${shared} />
    <${Searches} ...${shared} />`;
}

// Figures that fall to nothing because another feed has come are not to be a riddle.
const LeftOut = ({ feeds, query }) =>
  feeds.length > 0 &&
  html`<${Text} fontSize="sm">
    Not counted among the shop's own:${" "}
    ${feeds.map(
      ({ feed, is_generated: isGenerated }, at) => html`<span key=${feed}>
        ${at > 0 && ", "}<${GoRaw} to=${address(`${ROOT}/shop`, { ...query, feed, currency: null })} text=${feed} />
        ${isGenerated && " (made-up events, once there is another feed)"}
      </span>`,
    )}. <code>SLUICE_SHOP_FEEDS</code> says which feeds are.
  <//>`;

const against = (change, before) => html`<${Changed} change=${change} before=${before} />`;

function Totals({ query, answer, state }) {
  const { sums, sums_before, changes, ...sales } = answer.sales;
  const { funnel, customers } = answer;
  const { answer: now, trouble: isLate } = useFollowed("active", query, state.as_of);
  // The events of a range are shown a day at a time, from the last one with a sale on.
  const day = sales.rows.at(-1)?.day ?? funnel.rows.at(-1)?.day;
  const opens = (type) => day && inEvents({ ...query, day, type, currency: answer.currency || "-" });
  const in_money = (value) => amount(value, answer.currency);
  return html`<${Section} title="The shop in figures">
    <${Figures}>
      <${Figure}
        label="revenue"
        href=${opens("sale")}
        value=${headline(sums.revenue, answer.currency)}
        detail=${against(changes.revenue, in_money(sums_before.revenue))}
      />
      <${Figure}
        label="orders"
        href=${opens("purchase")}
        value=${count(sums.orders)}
        detail=${against(changes.orders, count(sums_before.orders))}
      />
      <${Figure}
        label="average basket"
        href=${opens("purchase")}
        value=${in_money(sales.basket)}
        detail=${against(sales.basket_change, in_money(sales.basket_before))}
      />
      <${Figure}
        label="sessions"
        href=${opens("all")}
        value=${count(funnel.sums.sessions)}
        detail=${against(funnel.changes.sessions, count(funnel.sums_before.sessions))}
      />
      <${Figure}
        label="viewed and bought"
        href=${opens("product_view")}
        value=${percent(funnel.conversions.view_to_buy)}
        detail=${`of the sessions that viewed; before: ${percent(funnel.conversions_before.view_to_buy)}`}
      />
      <${Figure}
        label="new customers"
        href=${opens("purchase")}
        value=${count(customers.sums.new_customers)}
        detail=${against(customers.changes.new_customers, count(customers.sums_before.new_customers))}
      />
      <${Figure}
        href=${opens("purchase")}
        label=${customers.are_distinct ? "returning customers" : "returning, day by day"}
        value=${count(customers.sums.returning_customers)}
        detail=${against(customers.changes.returning_customers, count(customers.sums_before.returning_customers))}
      />
      <${Figure}
        label="active sessions"
        value=${count(now?.sessions)}
        detail=${isLate ? `not known: ${isLate.message}; asked again` : "in the half an hour before the refresh"}
      />
    <//>
  <//>`;
}
