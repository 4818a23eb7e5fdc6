// Room Shop: products and searches; one product or term by its days.

import { count, html, Raw, ROOT, Table, Text, TroubleNotice, useFilters } from "./kit.js";
import { Bars } from "./bars.js";
import { byDay, Chart, daysOf } from "./shop_charts.js";
import { address, amount, Go, GoRaw, inEvents, List, money, queryOf, rangeOf, useFollowed } from "./shop_parts.js";

// A name that was cut leads nowhere.
const CUT = 200;
const named = (text, to) => ([...text].length < CUT ? html`<${GoRaw} to=${to} text=${text} />` : html`<${Raw} text=${text} />`);

export function Products({ query, state }) {
  const { answer: found, trouble } = useFollowed("products", query, state.as_of);
  const page = (row) => `${ROOT}/shop/product?${new URLSearchParams({ ...query, product: row.product_id })}`;
  const columns = [
    { name: "product", head: "product", of: (row) => named(row.product_id, page(row)) },
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
    empty="No product was sold in this range. Products are known by product_id, which the contract of the feed must fill."
  />`;
}

const inVain = (row) => `${count(row.without_result)} of ${count(row.searches)}`;

export function Searches({ query, state }) {
  const { answer: found, trouble } = useFollowed("searches", query, state.as_of);
  if (!found) return html`<${TroubleNotice} trouble=${trouble} />`;
  const rows = found.rows;
  const source = { path: "csv/searches", query, sql: found.sql };
  const to = (row) => inEvents({ ...query, day: row.day, clock: "utc", type: "search_in_vain" });
  const empty = found.most_days
    ? `Searches are of at most ${found.most_days} days: choose a shorter range.`
    : !rows.length &&
      "Nothing was looked for in this range. The contract of the feed must make events of type 'search', with a search_query.";
  if (empty) return html`<${Chart} title="Searches without result" source=${source} empty=${empty} />`;
  const bars = daysOf(found.range)
    .filter((day) => day <= found.today || byDay(rows)[day])
    .map((day) => {
      const row = byDay(rows)[day] ?? { day, searches: 0, without_result: 0 };
      const title = `${day}: ${inVain(row)} found nothing`;
      return { key: day, title, values: [row.without_result], to: to(row) };
    });
  const columns = [
    { name: "day", head: "day", of: (row) => html`<${Go} to=${to(row)}>${row.day}<//>` },
    { name: "vain", head: "without result", number: true, of: (row) => count(row.without_result) },
    { name: "all", head: "searches", number: true, of: (row) => count(row.searches) },
  ];
  const says = found.zone === "UTC" ? "" : `Searches are counted by days of UTC, not of ${found.zone}. `;
  const label = `Searches without result by day: ${inVain(found.sums)}`;
  return html`<${TroubleNotice} trouble=${trouble} /><${Chart}
    title="Searches without result"
    says=${`${says}${inVain(found.sums)} searches found nothing; in the range before ${inVain(found.sums_before)}.`}
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
    { name: "term", head: "looked for", of: (row) => named(row.term, page(row)) },
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

const Back = ({ query }) => html`<${Text} mt=${3}><${Go} to=${address(`${ROOT}/shop`, query)}>‹ Shop<//><//>`;

export function Product({ state }) {
  const [filters] = useFilters();
  const query = queryOf(filters);
  const { answer, trouble } = useFollowed("product", { ...query, product: filters.product }, state.as_of);
  return html`<${OfOne}
    ...${{ query, answer, trouble, name: filters.product, title: "Product" }}
    value=${(row) => Number(row.revenue)}
    said=${(value) => amount(value, answer?.currency)}
    series="revenue"
    file=${{ path: "csv-of-product", query: { ...query, product: filters.product } }}
    to=${(row) => inEvents({ ...query, day: row.day, type: "sale", product: filters.product, currency: answer.currency || "-" })}
    columns=${[
      { name: "revenue", head: "revenue", number: true, of: (row) => money(row.revenue) },
      { name: "units", head: "units", number: true, of: (row) => count(row.units) },
      { name: "purchases", head: "purchases", number: true, of: (row) => count(row.purchases) },
    ]}
    empty="It was not sold in this range."
  />`;
}

export function Term({ state }) {
  const [filters] = useFilters();
  const query = queryOf(filters);
  const { answer, trouble } = useFollowed("term", { ...query, term: filters.term }, state.as_of);
  return html`<${OfOne}
    ...${{ query, answer, trouble, name: filters.term, title: "Looked for" }}
    value=${(row) => row.searches}
    said=${count}
    series="searches"
    file=${{ path: "csv-of-term", query: { ...query, term: filters.term } }}
    to=${(row) => inEvents({ ...query, day: row.day, clock: "utc", type: "search", term: filters.term })}
    columns=${[
      { name: "searches", head: "searches", number: true, of: (row) => count(row.searches) },
      { name: "vain", head: "without result", number: true, of: (row) => count(row.without_result) },
    ]}
    empty="It was not looked for in this range."
  />`;
}

function OfOne({ query, answer, trouble, name, title, file, value, said, series, to, columns, empty }) {
  if (!answer) return html`<${Back} query=${query} /><${TroubleNotice} trouble=${trouble} />`;
  const bars = answer.rows.map((row) => ({
    key: row.day,
    title: `${row.day}: ${said(value(row))}`,
    values: [value(row)],
    to: to(row),
  }));
  const all = [{ name: "day", head: "day", of: (row) => html`<${Go} to=${to(row)}>${row.day}<//>` }, ...columns];
  return html`<${Back} query=${query} /><${TroubleNotice} trouble=${trouble} />
    <${Text} mt=${2}>${title}: <strong><${Raw} text=${name ?? ""} /></strong>, ${rangeOf(answer.range)}<//>
    <${Chart}
      title=${`By day: ${series}`}
      bars=${html`<${Bars} label=${`${series} by day`} bars=${bars} series=${[series]} said=${said} />`}
      table=${html`<${Table} label="Its days" rows=${[...answer.rows].reverse()} columns=${all} keyOf=${({ day }) => day} />`}
      source=${{ ...file, sql: answer.sql }}
      empty=${!answer.rows.length && (answer.most_days ? `Choose at most ${answer.most_days} days.` : empty)}
    />`;
}
