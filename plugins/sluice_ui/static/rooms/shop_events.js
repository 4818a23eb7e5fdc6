// Room Shop: the events under a figure, and one event down to its bytes.

import {
  Box,
  bytes,
  count,
  Flex,
  html,
  Moment,
  Notice,
  Raw,
  ROOT,
  Section,
  Table,
  Text,
  TroubleNotice,
  useAnswer,
  useFilters,
  visible,
} from "../kit.js";
import { address, Go, inEvents, money, queryOf } from "../shop_parts.js";

const KINDS = {
  all: "all events",
  sale: "purchases and cancellations",
  purchase: "purchases",
  cancellation: "cancellations",
  product_view: "views of products",
  add_to_cart: "what was put in a cart",
  remove_from_cart: "what was taken out of a cart",
  wishlist_add: "what was put on a list of wishes",
  search: "searches",
  search_in_vain: "searches without result",
};

const dayAfter = (day, days) => {
  const moment = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(moment.getTime())) return day;
  moment.setUTCDate(moment.getUTCDate() + days);
  return moment.toISOString().slice(0, 10);
};

export function Events({ state }) {
  const [filters] = useFilters();
  const { span, first, last, of, ...wanted } = filters;
  wanted.day ??= state.today;
  const kind = KINDS[wanted.type] ? wanted.type : "all";
  const { answer, trouble } = useAnswer("shop/events", wanted, 0);
  const { hour, until, until_id, ...day } = filters;
  const near = (days) => inEvents({ ...day, day: dayAfter(wanted.day, days) });
  return html`
    <${Text} mt=${3}><${Go} to=${address(`${ROOT}/shop`, queryOf(filters))}>‹ Shop<//><//>
    <${Section} title=${`Events: ${KINDS[kind]}`}>
      <${Flex} gap=${4} wrap="wrap" mb=${2} fontSize="sm">
        <span>
          ${wanted.day}${hour ? html`, one hour from <${Moment} at=${hour} />` : ""}${answer ? ` (${answer.zone})` : ""}
          ${wanted.product && html`, product <${Raw} text=${wanted.product} />`}
          ${wanted.term && html`, looked for <${Raw} text=${wanted.term} />`}
          ${answer?.currency && `, in ${visible(answer.currency)}`}
        </span>
        <${Go} to=${near(-1)}>day before<//>
        <${Go} to=${near(1)}>day after<//>
        ${hour && html`<${Go} to=${inEvents(day)}>the whole day<//>`}
        ${until && html`<${Go} to=${inEvents({ ...day, hour })}>the newest<//>`}
      <//>
      <${TroubleNotice} trouble=${trouble} />
      ${answer &&
      html`<${Table}
          label="Events"
          rows=${answer.rows}
          columns=${columnsOf(filters)}
          keyOf=${(row) => row.event_id + row.event_time}
          empty="No such event on this day."
        />
        ${answer.next &&
        html`<${Text} mt=${2}>
          <${Go} to=${inEvents({ ...filters, ...older(answer), day: wanted.day })}>Older events<//>
        <//>`}`}
    <//>`;
}

const older = ({ next }) => ({ until: next.event_time, until_id: next.event_id });

const columnsOf = (filters) => [
  { name: "time", head: "time", of: (row) => html`<${Go} to=${toEvent(row, filters)}><${Moment} at=${row.event_time} /><//>` },
  { name: "type", head: "type", of: (row) => html`<${Raw} text=${row.event_type} />` },
  { name: "user", head: "user", of: (row) => html`<${Raw} text=${row.user_id ?? ""} />` },
  { name: "product", head: "product", of: (row) => html`<${Raw} text=${row.product_id ?? row.search_query ?? ""} />` },
  { name: "quantity", head: "quantity", number: true, of: (row) => (row.quantity === null ? "" : count(row.quantity)) },
  { name: "price", head: "price", number: true, of: (row) => (row.price === null ? "" : money(row.price)) },
  {
    name: "amount",
    head: "amount",
    number: true,
    of: (row) => (row.amount === null ? "" : `${money(row.amount)} ${visible(row.currency)}`),
  },
  { name: "feed", head: "feed", of: (row) => html`<${Raw} text=${row.feed} />` },
  { name: "file", head: "file", number: true, of: (row) => html`<${Go} to=${`${ROOT}/files/${row.file_id}`}>${row.file_id}<//>` },
  { name: "record", head: "record", number: true, of: (row) => count(row.record_number) },
];

const toEvent = (row, filters) =>
  address(`${ROOT}/shop/events/${row.file_id}/${row.record_number}`, { ...filters, until: null, until_id: null });

// --- one event

const FIELDS = [
  "event_id", "event_type", "user_id", "session_id", "product_id", "category", "price", "quantity", "total_amount",
  "payment_method", "search_query", "search_results_count", "ip_address", "user_agent", "extra",
];

export function Event({ file, record }) {
  const [filters] = useFilters();
  const { answer, trouble } = useAnswer(`shop/events/${encodeURIComponent(file)}/${encodeURIComponent(record)}`, {}, 0);
  const back = html`<${Text} mt=${3}><${Go} to=${inEvents(filters)}>‹ Events<//><//>`;
  if (!answer) return html`${back}<${TroubleNotice} trouble=${trouble} />`;
  return html`${back}
    <${Text} mt=${2}>
      Record ${count(answer.record_number)} of file ${" "}<${Go} to=${`${ROOT}/files/${answer.file_id}`}>${answer.file_id}<//>${" "}
      (<${Raw} text=${answer.file.name} />)${answer.read.line ? `, line ${count(answer.read.line)}` : ""}; read under contract${" "}
      <${Raw} text=${`${answer.file.contract ?? "–"} ${answer.file.contract_version ?? ""}`} />, loaded <${Moment} at=${answer.file.loaded_at} />.
    <//>
    <${Section} title="The event">
      ${answer.event ? html`<${Fields} event=${answer.event} />` : html`<${NoEvent} answer=${answer} />`}
    <//>
    <${Section} title="Its bytes in the file"><${Bytes} answer=${answer} /><//>`;
}

const Fields = ({ event }) => html`
  <${Table}
    label="Fields of the event"
    rows=${[
      ["event_time", html`${event.event_time && html`<${Moment} at=${event.event_time} />, `}${event.event_time_in_utc} UTC`],
      ...FIELDS.map((name) => [
        name,
        event[name] === null
          ? html`<${Text} as="span" color="fg.muted">no value<//>`
          : event[name] === ""
            ? html`<${Text} as="span" color="fg.muted">empty text<//>`
            : html`<${Raw} text=${event[name]} />`,
      ]),
    ]}
    columns=${[
      { name: "name", head: "field", of: ([name]) => name },
      { name: "value", head: "value", of: ([, value]) => value },
    ]}
    keyOf=${([name]) => name}
  />`;

const NoEvent = ({ answer }) => html`<${Text}>
  ${answer.is_reject
    ? "This record was set aside: it is in the quarantine, not in events."
    : answer.is_duplicate
      ? "This record is a duplicate of an event that was there already."
      : "No table holds this record: it has expired, its file was unloaded, or the file has no such record."}
<//>`;

const WHY = {
  trimmed: ["Trimmed", "Housekeeping deleted the bytes of this file when its tally and receipt were proven."],
  gone: ["The file is not where the ledger has it.", "It may just be moved: look again. If it stays so, see make reconcile."],
  changed: ["The file is not the one that was registered.", "Its bytes are not shown, for they may be others. make reconcile looks closer."],
  far: ["Trimmed: the record lies too deep in its file.", "A page reads the first 64 MB of a file, for a few seconds, and no more."],
  unmarked: ["It is not known how this file was read.", "It was loaded by a version of Sluice that did not note it."],
  damaged: ["The file cannot be read now.", "make reconcile says why."],
  none: ["The file has no such record.", ""],
};

const Pre = ({ label, children, ...more }) => html`
  <${Box}
    as="pre"
    tabIndex=${0}
    role="region"
    aria-label=${label}
    bg="bg.subtle"
    p=${2}
    mt=${1}
    fontSize="xs"
    maxH="20rem"
    overflow="auto"
    ...${more}
    >${children}<//
  >`;

function Bytes({ answer: { read } }) {
  if (read.outcome !== "found") {
    const [title, what] = WHY[read.outcome] ?? [read.outcome, ""];
    const level = read.outcome === "trimmed" || read.outcome === "far" ? "quiet" : "warning";
    return html`<${Notice} level=${level} title=${title}>${what}<//>`;
  }
  return html`
    <${Text} fontSize="sm" color="fg.muted">
      ${read.bytes === null ? "Too long to be kept" : bytes(read.bytes)}, from line ${count(read.line)} on, without the line end, as they stand in the
      file${read.is_cut ? "; only the beginning is shown" : ""}.
    <//>
    <${Pre} label="The record as text" data-sluice="bytes" whiteSpace="pre-wrap" style=${{ overflowWrap: "anywhere" }}>
      <bdi>${visible(read.text)}</bdi>
    <//>
    <${Box} as="details" mt=${2} fontSize="sm">
      <summary style=${{ cursor: "pointer" }}>As bytes</summary>
      <${Pre} label="The record as bytes">${dump(read.hex)}<//>
    <//>`;
}

// Sixteen bytes a line, as hexdump -C has them; the first four thousand.
function dump(hex) {
  const lines = [];
  for (let at = 0; at < Math.min(hex.length, 8192); at += 32) {
    const pairs = hex.slice(at, at + 32).match(/../g);
    const letter = (pair) => (/^[2-6]|^7[0-9a-e]/.test(pair) ? String.fromCharCode(parseInt(pair, 16)) : ".");
    const text = pairs.map(letter).join("");
    lines.push(`${(at / 2).toString(16).padStart(8, "0")}  ${pairs.join(" ").padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}
