// Contracts: how the files of each look over time.

import {
  Box,
  count,
  Figure,
  Figures,
  html,
  Link,
  Moment,
  Notice,
  Raw,
  ROOT,
  Section,
  share,
  Table,
  Text,
  TroubleNotice,
  useAnswer,
  visible,
} from "../kit.js";
import { Name } from "./files.js";

const KINDS = { missing: "lacks", new: "has besides", empty: "has no value of" };

// A drift in words, with the names as text.
export function driftSays(drift) {
  const kinds = Object.entries(KINDS).filter(([kind]) => drift[kind]?.length);
  const parts = [
    ...kinds.map(([kind, words]) => `${words} ${drift[kind].join(", ")}`),
    ...Object.entries(drift.renamed ?? {}).map(([ours, theirs]) => `has ${theirs}, which looks like ${ours}: add a synonym`),
  ];
  return html`<${Raw} text=${parts.join("; ")} />`;
}

export function Contracts({ parts }) {
  if (!parts.length) return html`<${List} />`;
  let name = parts[0];
  try {
    name = decodeURIComponent(name);
  } catch {
    // A percent sign of its own.
  }
  return html`<${Schema} name=${name} />`;
}

const LIST = [
  {
    name: "contract",
    head: "Contract",
    of: (one) => html`<${Link} to=${`${ROOT}/contracts/${encodeURIComponent(one.contract)}`}><${Raw} text=${one.contract} /><//>`,
  },
  { name: "version", head: "Version", of: (one) => one.contract_version ?? "–" },
  {
    name: "newest",
    head: "Newest file",
    of: (one) => html`<${Link} to=${`${ROOT}/files/${one.file_id}`}><${Name} name=${one.name} /><//>`,
  },
  { name: "loaded", head: "Loaded", of: (one) => html`<${Moment} at=${one.loaded_at} />` },
  { name: "drift", head: "Drift", of: (one) => (one.drift ? driftSays(one.drift) : "none") },
];

function List() {
  const { answer, trouble } = useAnswer("contracts", {}, 10000);
  return html`<${Section} title="Contracts of loaded files">
    <${TroubleNotice} trouble=${trouble} />
    ${
      answer &&
      html`<${Table}
        label="Contracts"
        rows=${answer.contracts}
        columns=${LIST}
        keyOf=${(one) => one.contract}
        empty="No file is loaded yet. Contracts are in include/contracts; a file is loaded under the one that knows its header."
      />`
    }
  <//>`;
}

function Schema({ name }) {
  const { answer, trouble } = useAnswer("contracts/schema", { name }, 0);
  const back = html`<${Link} to=${`${ROOT}/contracts`}>All contracts<//>`;
  if (!answer) return html`<${TroubleNotice} trouble=${trouble} />${trouble && back}`;
  const title = html`Contract <${Raw} text=${answer.contract} />`;
  return html`
    <${Section} title=${title} actions=${back}>
      <${Figures}>
        <${Figure} label="version" value=${answer.version ?? "–"} />
        <${Figure} label="columns in the newest header" value=${count(answer.header?.length)} />
        <${Figure}
          label="files looked at"
          value=${count(answer.files)}
          detail=${answer.is_all ? "all that are loaded" : "the newest"}
          href=${`${ROOT}/files?${new URLSearchParams({ contract: answer.contract, state: "loaded" })}`}
        />
      <//>
      ${answer.drift && html`<${Notice} level="warning" title="The newest file looks other than the contract and earlier files.">${driftSays(answer.drift)}<//>`}
    <//>
    <${Section} title="What changed from file to file">
      ${answer.changes_in_all > answer.changes.length && html`<${Text} fontSize="sm">The newest ${answer.changes.length} of ${count(answer.changes_in_all)} changes.<//>`}
      <${Table}
        label="Changes of the schema"
        rows=${answer.changes}
        columns=${CHANGES}
        keyOf=${(change) => change.file_id}
        empty="Nothing: each of these files looks like the one before it."
      />
    <//>
    <${Section} title="Rows without a value, by column">
      <${Text} fontSize="sm" color="fg.muted">
        ${"From the oldest to the newest of these files, "}<${Moment} at=${answer.from.at} />${" to "}<${Moment} at=${answer.to.at} />
      <//>
      <${Table} label="Rows without a value, by column" rows=${answer.columns} columns=${NULLS} keyOf=${(column) => column.column} />
    <//>
  `;
}

const CHANGES = [
  { name: "at", head: "When", of: (change) => html`<${Moment} at=${change.at} />` },
  {
    name: "file",
    head: "File",
    of: (change) => html`<${Link} to=${`${ROOT}/files/${change.file_id}`}><${Name} name=${change.name} /><//>`,
  },
  { name: "what", head: "What", of: (change) => html`<${Raw} text=${said(change)} />` },
];

function said(change) {
  const named = [
    ["came: ", change.came],
    ["went: ", change.went],
    ["renamed: ", change.renamed.map((one) => `${one.from} is now ${one.to}`)],
    ["without any value: ", change.emptied],
    ["version: ", change.versions ? [`${change.versions[0] ?? "none"} is now ${change.versions[1] ?? "none"}`] : []],
  ];
  return named
    .filter(([, names]) => names.length)
    .map(([words, names]) => `${words}${names.join(", ")}`)
    .join("; ");
}

const percent = (part) => (part === null ? "–" : share(part, 1));
const NULLS = [
  { name: "column", head: "Column", of: (column) => html`<${Name} name=${column.column} />` },
  { name: "spark", head: "Share of null", of: (column) => html`<${Spark} column=${column} />` },
  { name: "last", head: "Last", number: true, of: (column) => percent(column.last) },
  { name: "least", head: "Least", number: true, of: (column) => percent(column.least) },
  { name: "most", head: "Most", number: true, of: (column) => percent(column.most) },
];

const WIDTH = 160;
const HEIGHT = 24;

// A line from 0 at the bottom to 1 at the top, broken where nothing is known.
function Spark({ column }) {
  const { points } = column;
  const step = points.length > 1 ? WIDTH / (points.length - 1) : WIDTH;
  const place = (point, at) => `${(at * step).toFixed(1)},${(1 + (HEIGHT - 2) * (1 - point)).toFixed(1)}`;
  const lines = [[]];
  points.forEach((point, at) => (point === null ? lines.push([]) : lines.at(-1).push(place(point, at))));
  const label =
    column.last === null
      ? `${visible(column.column)}: not known`
      : `${visible(column.column)}: null in ${percent(column.last)} of the rows, ${percent(column.least)} to ${percent(column.most)} before`;
  return html`<${Box} as="span" display="inline-block" color="fg">
    <svg role="img" aria-label=${label} width=${WIDTH} height=${HEIGHT} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`}>
      <line x1="0" x2=${WIDTH} y1=${HEIGHT - 1} y2=${HEIGHT - 1} stroke="currentColor" opacity="0.25" />
      ${lines
        .filter((line) => line.length)
        .map((line) =>
          line.length > 1
            ? html`<polyline key=${line[0]} points=${line.join(" ")} fill="none" stroke="currentColor" strokeWidth="1.5" />`
            : html`<circle key=${line[0]} cx=${line[0].split(",")[0]} cy=${line[0].split(",")[1]} r="1.5" fill="currentColor" />`,
        )}
    </svg>
  <//>`;
}
