// What the pages of room Shop share: how amounts and changes are said, where a figure leads, its SQL and its file.

import {
  Box,
  count,
  Flex,
  html,
  Link,
  Notice,
  Raw,
  ROOT,
  Section,
  Table,
  Text,
  TroubleNotice,
  useAnswer,
  useEffect,
  useState,
  visible,
} from "./kit.js";

export const FOLLOW_MS = 5000;

const exact = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

// Amounts come as text, with all of their digits: they are not made numbers on the way.
export const money = (value) => (value === null || value === undefined ? "–" : exact.format(value));
export const amount = (value, currency) => (currency ? `${money(value)} ${visible(currency)}` : money(value));
// In large letters without cents, once nobody counts them.
export const headline = (value, currency) =>
  Math.abs(value) >= 10000 ? `${count(value)} ${visible(currency)}`.trim() : amount(value, currency);
export const percent = (part) => (part === null || part === undefined ? "–" : `${(100 * part).toFixed(1)} %`);

export const rangeOf = ({ first, last }) => (first === last ? first : `${first} to ${last}`);

// A change in words and sign, and what was before.
export function Changed({ change, before }) {
  if (change === null || change === undefined) return html`<span>before: ${before}</span>`;
  const sign = change > 0 ? "▲" : change < 0 ? "▼" : "=";
  const said = change > 0 ? "more than" : change < 0 ? "less than" : "as much as";
  return html`<span>
    <span aria-hidden="true">${sign} </span>${change === 0 ? "" : `${percent(Math.abs(change))} `}${said} ${before}
  </span>`;
}

const KEPT = ["span", "first", "last", "feed", "currency"];

// What of the address says what is chosen. A currency without a name is "-" there.
export const queryOf = (filters) =>
  Object.fromEntries(KEPT.filter((name) => filters[name] !== undefined).map((name) => [name, filters[name]]));

export function address(path, query) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined) said.set(name, value);
  return said.size ? `${path}?${said}` : path;
}

export const inEvents = (query) => address(`${ROOT}/shop/events`, query);

// The answer to a question, asked again when the reports were refreshed, and while there is trouble.
export function useFollowed(path, query, asOf) {
  const [every, setEvery] = useState(0);
  const found = useAnswer(`shop/${path}`, { ...query, of: asOf }, every);
  const code = found.trouble?.code;
  useEffect(() => setEvery(code && code !== "forbidden" && code !== "error" ? FOLLOW_MS : 0), [code]);
  return found;
}

// A link that looks like one, whose text is not broken.
export const Go = ({ to, children }) =>
  html`<${Link} to=${to} style=${{ textDecoration: "underline", whiteSpace: "nowrap" }}>${children}<//>`;
// The same for a text of a file, which may be long.
export const GoRaw = ({ to, text }) =>
  html`<${Link} to=${to} style=${{ textDecoration: "underline" }}><${Raw} text=${text} /><//>`;

const fileOf = (path, query) => new URL(address(`sluice/api/shop/${path}`, query), document.baseURI).href;

// The SQL that gave a figure, and its rows as a file.
export const Source = ({ path, query, sql }) => html`
  <${Flex} gap=${4} mt=${2} fontSize="sm" wrap="wrap" align="start">
    ${sql &&
    html`<${Box} as="details" minW=${0} maxW="100%">
      <summary style=${{ cursor: "pointer" }}>Show SQL</summary>
      <${Text} color="fg.muted" mt=${1}>To be run in <code>make psql</code>.<//>
      <${Box} as="pre" tabIndex=${0} overflowX="auto" bg="bg.subtle" p=${2} fontSize="xs" maxW="100%">${visible(sql)}<//>
    <//>`}
    ${path &&
    html`<a href=${fileOf(path, query)} download="" style=${{ textDecoration: "underline" }}>Download CSV</a>`}
  <//>`;

// A list that is asked for by itself.
export const List = ({ title, says, found, trouble, columns, keyOf, source, empty }) => html`
  <${Section} title=${title}>
    <${TroubleNotice} trouble=${trouble} />
    ${found &&
    html`<${Text} fontSize="sm" color="fg.muted" mb=${2}>${says}<//>
      ${found.most_days
        ? html`<${Notice} level="quiet" title=${`Lists are of at most ${found.most_days} days: choose a shorter range.`} />`
        : html`<${Table} label=${title} rows=${found.rows} columns=${columns} keyOf=${keyOf} empty=${empty} />
            <${Source} ...${source} />`}`}
  <//>`;
