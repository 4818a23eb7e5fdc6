// Room Files: all files, the newest first, a page at a time; below it one file (file.js).

import {
  Box,
  Button,
  bytes,
  count,
  Flex,
  html,
  Input,
  Link,
  Moment,
  Notice,
  Raw,
  ROOT,
  seconds,
  Section,
  Sign,
  Table,
  Text,
  TroubleNotice,
  useAnswer,
  useEffect,
  useFilters,
  useRef,
} from "../kit.js";
import { OneFile } from "./file.js";

// How a state is said, and how bad it is. "waiting" is no state of the ledger: a landed file that no contract fits.
const STATES = {
  landed: ["waits to be loaded", "quiet"],
  waiting: ["waits for a contract", "warning"],
  loaded: ["loaded", "good"],
  rejected: ["rejected", "bad"],
  duplicate: ["duplicate", "quiet"],
  replaced: ["replaced", "quiet"],
  unloaded: ["unloaded", "warning"],
};
const PAGING = ["before", "after"];

export function FileState({ file }) {
  const [words, level] = STATES[file.waits_for_contract ? "waiting" : file.state];
  return html`<${Sign} level=${level}>${words}<//>`;
}

export const fileLink = (file_id, text = `${file_id}`) => html`<${Link} to=${`${ROOT}/files/${file_id}`}>${text}<//>`;

// In one line, and wide enough to be read in a narrow table.
export const Name = ({ name }) => html`<${Box} as="span" display="inline-block" minW=${`${Math.min(name.length, 20)}ch`}>
  <${Raw} text=${name.replaceAll("\n", "\\n").replaceAll("\t", "\\t")} />
<//>`;

export const Files = ({ parts }) => (parts.length ? html`<${OneFile} id=${parts[0]} />` : html`<${List} />`);

function List() {
  const [filters, change] = useFilters();
  const query = known(filters);
  const isNewest = !query.before && !query.after;
  const { answer, trouble } = useAnswer("files", query, isNewest ? undefined : 0);
  return html`
    <${Section} title="Files"><${Filters} filters=${query} change=${change} /><//>
    <${TroubleNotice} trouble=${trouble} />
    ${answer && html`<${Page} answer=${answer} query=${query} />`}
  `;
}

// What the address may ask for; anything else in it is left alone.
function known(filters) {
  const names = ["contract", "since", "until", "prefix", ...PAGING];
  const found = Object.fromEntries(names.filter((name) => filters[name]).map((name) => [name, filters[name]]));
  return filters.state in STATES ? { ...found, state: filters.state } : found;
}

const without = (query, names) => Object.fromEntries(Object.entries(query).filter(([name]) => !names.includes(name)));

function Page({ answer, query }) {
  const asked = without(query, PAGING);
  const isAny = Object.keys(asked).length > 0;
  return html`
    <${Said} answer=${answer} asked=${asked} />
    <${Table}
      label="Files"
      rows=${answer.files}
      columns=${COLUMNS}
      keyOf=${(file) => file.file_id}
      empty=${isAny ? "No file fits: ask for less." : NO_FILE}
    />
    ${
      answer.looked_only &&
      html`<${Notice} level="quiet" title=${`Few files fit: these are from the newest down to file ${count(answer.older)}.`}>
        <${PageLink} query=${{ ...asked, before: answer.older }}>Look further back<//>
      <//>`
    }
    <${Flex} as="nav" aria-label="Pages of files" gap=${4} mt=${2}>
      ${query.before || query.after ? html`<${PageLink} query=${asked}>Newest<//>` : null}
      ${answer.newer && html`<${PageLink} query=${{ ...asked, after: answer.newer }}>Newer<//>`}
      ${answer.older && !answer.looked_only && html`<${PageLink} query=${{ ...asked, before: answer.older }}>Older<//>`}
    <//>
  `;
}

const NO_FILE = html`No file has landed yet: <${Link} to=${`${ROOT}/land`}>land one<//>, or put a CSV into the landing folder.`;

const PageLink = ({ query, children }) =>
  html`<${Link} to=${`${ROOT}/files?${new URLSearchParams(query)}`}>${children}<//>`;

function Said({ answer, asked }) {
  const counted = useAnswer("files/count", asked, 30000).answer;
  const files = counted && (counted.files === 1 ? "1 file" : `${count(counted.files)}${counted.is_more ? "+" : ""} files`);
  const isOfContract = asked.contract && !asked.state;
  return html`<${Text} fontSize="sm" color="fg.muted" mb=${1} role="status">
    ${files ?? "…"}${isOfContract ? ", loaded under this contract; for others choose a state" : ""}${
      answer.by_landing ? ", in the order in which they landed" : ""
    }
  <//>`;
}

const COLUMNS = [
  { name: "file_id", head: "File", number: true, of: (file) => fileLink(file.file_id) },
  { name: "name", head: "Name", of: (file) => fileLink(file.file_id, html`<${Name} name=${file.name} />`) },
  { name: "state", head: "State", of: (file) => html`<${FileState} file=${file} />` },
  { name: "contract", head: "Contract", of: (file) => html`<${ContractLink} contract=${file.contract} />` },
  { name: "bytes", head: "Size", number: true, of: (file) => bytes(file.bytes) },
  { name: "rows_read", head: "Read", number: true, of: (file) => count(file.rows_read) },
  { name: "rows_loaded", head: "Loaded", number: true, of: (file) => count(file.rows_loaded) },
  { name: "rows_rejected", head: "Rejected", number: true, of: (file) => html`<${Rejected} file=${file} />` },
  { name: "rows_duplicate", head: "Duplicate", number: true, of: (file) => count(file.rows_duplicate) },
  { name: "lag", head: "Lag", number: true, of: (file) => seconds(file.lag_seconds) },
  { name: "landed", head: "Landed", of: (file) => html`<${Moment} at=${file.landed_at} />` },
];

export const Rejected = ({ file }) =>
  file.rows_rejected
    ? html`<${Link} to=${`${ROOT}/quarantine?file_id=${file.file_id}`}>${count(file.rows_rejected)}<//>`
    : count(file.rows_rejected);

export const ContractLink = ({ contract }) =>
  contract
    ? html`<${Link} to=${`${ROOT}/contracts/${encodeURIComponent(contract)}`}><${Raw} text=${contract} /><//>`
    : "–";

// --- what to ask for

// Whoever chooses by keyboard goes on from the same field: Airflow may make the whole page anew when the address changes.
let focused = null;

function Filters({ filters, change }) {
  const contracts = useAnswer("contracts", {}, 0).answer?.contracts ?? [];
  const names = contracts.map((one) => one.contract);
  if (filters.contract && !names.includes(filters.contract)) names.push(filters.contract);
  const form = useRef(null);
  useEffect(() => {
    if (focused) form.current?.elements[focused]?.focus();
    focused = null;
  }, [JSON.stringify(filters)]);
  const submit = (event) => {
    event.preventDefault();
    focused = document.activeElement?.name;
    const given = new FormData(event.target);
    change({
      state: given.get("state"),
      contract: given.get("contract"),
      prefix: given.get("prefix"),
      since: moment(given.get("since")),
      until: moment(given.get("until")),
      before: null,
      after: null,
    });
  };
  // What is in the fields follows the address, by making them anew when it changes.
  return html`<${Flex} as="form" ref=${form} role="search" key=${JSON.stringify(filters)} onSubmit=${submit} gap=${3} wrap="wrap" align="end">
    <${Choice} label="State" name="state" value=${filters.state}
      options=${Object.entries(STATES).map(([value, [words]]) => [value, words])} />
    <${Choice} label="Contract" name="contract" value=${filters.contract} options=${names.map((name) => [name, name])} />
    <${Field} label="Name begins with" name="prefix" defaultValue=${filters.prefix ?? ""} maxLength=${300} />
    <${Field} label="Landed from" name="since" type="datetime-local" defaultValue=${local(filters.since)} />
    <${Field} label="Landed before" name="until" type="datetime-local" defaultValue=${local(filters.until)} />
    <${Button} type="submit" name="show" size="sm" variant="outline">Show<//>
  <//>`;
}

const Field = ({ label, ...rest }) => html`<${Box} fontSize="sm">
  <label htmlFor=${`files-${rest.name}`}>${label}</label>
  <${Input} id=${`files-${rest.name}`} size="sm" width="13rem" display="block" ...${rest} />
<//>`;

const Choice = ({ label, name, value, options }) => html`<${Box} fontSize="sm">
  <label htmlFor=${`files-${name}`}>${label}</label>
  <${Box}
    as="select"
    id=${`files-${name}`}
    name=${name}
    defaultValue=${value ?? ""}
    onChange=${(event) => event.target.form.requestSubmit()}
    display="block"
    height="9"
    width="13rem"
    px=${2}
    bg="bg"
    borderWidth="1px"
    borderRadius="sm"
  >
    <option value="">any</option>
    ${options.map(([given, words]) => html`<option key=${given} value=${given}>${words}</option>`)}
  <//>
<//>`;

// Between the address, which has instants, and the fields, which have the viewer's own time.
function moment(text) {
  const at = text ? new Date(text) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : null;
}

function local(instant) {
  const at = instant ? new Date(instant) : null;
  if (!at || Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
