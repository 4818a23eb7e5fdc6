// Room Shop: revenue, funnel and customers, each as a picture, a table, its SQL and a file.

import { Box, Button, count, Flex, html, Section, Table, Text } from "./kit.js";
import { Bars } from "./bars.js";
import { amount, Go, inEvents, money, percent, Source } from "./shop_parts.js";

const BESIDE = { base: "minmax(0, 1fr)", lg: "minmax(0, 3fr) minmax(0, 2fr)" };

// Chart and table side by side, below them the SQL and the file.
export const Chart = ({ title, says, bars, table, source, empty, children }) => html`
  <${Section} title=${title}>
    ${says && html`<${Text} fontSize="sm" color="fg.muted" mb=${2}>${says}<//>`}
    ${empty
      ? html`<${Text} py=${2}>${empty}<//>`
      : html`<${Box} display="grid" gap=${5} gridTemplateColumns=${BESIDE}>
          ${bars}
          <${Box} maxH="15rem" overflowY="auto" tabIndex=${0} role="group" aria-label=${`${title}, as a table`}>${table}<//>
        <//>`}
    ${children}
    <${Source} ...${source} />
  <//>`;

// All days of a range, also those on which nothing happened.
export function daysOf({ first, last }) {
  const days = [];
  const day = new Date(`${first}T00:00:00Z`);
  for (; day <= new Date(`${last}T00:00:00Z`); day.setUTCDate(day.getUTCDate() + 1))
    days.push(day.toISOString().slice(0, 10));
  return days;
}

export const byDay = (rows) => Object.fromEntries(rows.map((row) => [row.day, row]));

export function Revenue({ query, answer, change }) {
  const { rows, sums } = answer.sales;
  const of = { ...query, currency: answer.currency || "-", type: "sale" };
  const said = (value) => amount(value, answer.currency);
  const source = { path: answer.hours ? "csv/hours" : "csv/sales", query, sql: (answer.hours ?? answer.sales).sql };
  const title = answer.hours ? "Revenue by hour" : "Revenue by day";
  if (!rows.length)
    return html`<${Section} title=${title}>
      <${NothingSold} answer=${answer} change=${change} />
      <${Source} ...${source} />
    <//>`;
  const found = byDay(rows);
  const before = daysOf(answer.before);
  const found_before = byDay(answer.sales.rows_before);
  const shown = answer.hours
    ? answer.hours.rows.filter(({ hour }) => new Date(hour) <= new Date(answer.as_of)).map((row) => ({
        key: row.at,
        row,
        to: inEvents({ ...of, day: answer.range.first, hour: row.hour }),
      }))
    : daysOf(answer.range)
        .map((day, place) => ({
          key: day,
          row: found[day],
          before: before[place] ? Number(found_before[before[place]]?.revenue ?? 0) : null,
          to: found[day] && inEvents({ ...of, day }),
          open: day === answer.today,
        }))
        .filter(({ key, row }) => key <= answer.today || row);
  const bars = shown.map(({ row, ...bar }) => ({
    ...bar,
    values: [Number(row?.revenue ?? 0)],
    title: `${bar.key}: ${said(row?.revenue ?? 0)}, ${count(row?.purchases ?? 0)} purchases`,
  }));
  const columns = [
    { name: "key", head: answer.hours ? "hour" : "day", of: ({ key, to }) => html`<${Go} to=${to}>${key}<//>` },
    { name: "revenue", head: "revenue", number: true, of: ({ row }) => money(row.revenue) },
    ...(answer.hours ? [] : [{ name: "orders", head: "orders", number: true, of: ({ row }) => count(row.orders) }]),
    { name: "purchases", head: "purchases", number: true, of: ({ row }) => count(row.purchases) },
    { name: "cancellations", head: "cancelled", number: true, of: ({ row }) => count(row.cancellations) },
  ];
  return html`<${Chart}
    title=${title}
    says="Purchases less cancellations. An order is what one session buys; without a session, what one user buys on a day."
    bars=${html`<${Bars} label=${`${title}: ${said(sums.revenue)} in all`} bars=${bars} series=${["revenue"]} said=${said} />`}
    table=${html`<${Table}
      label=${title}
      rows=${shown.filter(({ row }) => row?.purchases || row?.cancellations).reverse()}
      columns=${columns}
      keyOf=${({ key, to }) => key + to}
    />`}
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

export function Funnel({ query, answer }) {
  const { rows, sql, sums, conversions } = answer.funnel;
  const steps = [
    ["sessions", "Sessions", "", "all", "sessions"],
    ["viewed", "Viewed a product", "", "product_view", "viewed"],
    ["carted", "Put it in a cart", `${percent(conversions.view_to_cart)} of those that viewed`, "add_to_cart", "carted"],
    ["bought", "Bought", `${percent(conversions.cart_to_buy)} of those with a cart`, "purchase", "bought"],
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
    { name: "day", head: "day", of: (row) => html`<span style=${{ whiteSpace: "nowrap" }}>${row.day}</span>` },
    ...steps.map(([name, , , type, head]) => ({
      name,
      head,
      number: true,
      of: (row) => html`<${Go} to=${inEvents({ ...query, day: row.day, type })}>${count(row[name])}<//>`,
    })),
  ];
  return html`<${Chart}
    title="Funnel"
    says="Sessions that began in the range, by their steps; some buy without a cart. A number opens the events of its day."
    bars=${picture}
    table=${html`<${Table} label="Funnel by day" rows=${[...rows].reverse()} columns=${columns} keyOf=${({ day }) => day} />`}
    source=${{ path: "csv/funnel", query, sql }}
    empty=${!rows.length && "No session began in this range. Sessions are known by session_id, which the contract of the feed must fill."}
  />`;
}

export function Customers({ query, answer }) {
  const { rows, sql, sums_sql, are_distinct, sums } = answer.customers;
  const to = (row) => inEvents({ ...query, day: row.day, type: "purchase", currency: answer.currency || "-" });
  const bars = daysOf(answer.range)
    .filter((day) => day <= answer.today || byDay(rows)[day])
    .map((day) => {
      const row = byDay(rows)[day] ?? { day, new_customers: 0, returning_customers: 0 };
      const title = `${day}: ${count(row.new_customers)} new, ${count(row.returning_customers)} returning`;
      return { key: day, title, values: [row.new_customers, row.returning_customers], to: to(row), open: day === answer.today };
    });
  const columns = [
    { name: "day", head: "day", of: (row) => html`<${Go} to=${to(row)}>${row.day}<//>` },
    { name: "new", head: "new", number: true, of: (row) => count(row.new_customers) },
    { name: "returning", head: "returning", number: true, of: (row) => count(row.returning_customers) },
  ];
  const says = are_distinct
    ? "Users who bought: for the first time, or again. Each counts once in the range, and once for each feed."
    : "Users who bought: for the first time, or again. Each counts once a day, so the returning ones are a sum of days. " +
      "A single day, or a whole month, counts each once.";
  const label = `Customers by day: ${count(sums.new_customers)} new, ${count(sums.returning_customers)} returning`;
  return html`<${Chart}
    title="New and returning customers"
    says=${says}
    bars=${html`<${Bars} label=${label} bars=${bars} series=${["new", "returning"]} said=${count} />`}
    table=${html`<${Table} label="Customers by day" rows=${[...rows].reverse()} columns=${columns} keyOf=${({ day }) => day} />`}
    source=${{ path: "csv/customers", query, sql: sums_sql ? `${sql}\n\n${sums_sql}` : sql }}
    empty=${!rows.length &&
    (answer.sales.rows.length
      ? "No purchase of this range names its user. The contract of the feed must fill user_id."
      : "Nothing was bought in this range.")}
  />`;
}
