// One file: its way, what it brought, where its bytes lie, its rows, its receipt.

import {
  ask,
  Box,
  Button,
  bytes,
  count,
  Figure,
  Figures,
  html,
  Link,
  Moment,
  Notice,
  Raw,
  ROOT,
  seconds,
  Section,
  Table,
  Text,
  TroubleNotice,
  useAnswer,
  useState,
} from "../kit.js";
import { ContractLink, fileLink, Name, FileState, Rejected } from "./files.js";
import { driftSays } from "./contracts.js";

const STEPS = {
  landed: "landed",
  moved: "taken from the landing folder",
  claimed: "claimed by the stream",
  loaded: "loaded: its rows can be queried",
  rejected: "rejected: none of its rows is loaded",
  duplicate: "set aside: its bytes are loaded or wait already",
  landed_again: "landed again, in the place of a file with its bytes",
  receipt: "receipt made",
  merged: "ids compared with those of all months",
  sealed: "sealed: proven, and its bytes deleted",
  unload: "unloaded",
  replace: "replaced by a newer revision",
  takeover: "took over the rows of a file with its bytes",
  expire: "rows dropped with their month",
};
const COMING = 5000;

export function OneFile({ id }) {
  const [every, setEvery] = useState(COMING);
  const { answer, trouble } = useAnswer(`files/${encodeURIComponent(id)}`, {}, every);
  const isComing = !answer || answer.file.state === "landed" || answer.timeline.some((step) => !step.is_done);
  if (!isComing && every) setEvery(0);
  const back = html`<${Link} to=${`${ROOT}/files`}>All files<//>`;
  if (trouble?.status === 422) return html`<${Notice} title="A file has a number.">${back}<//>`;
  if (!answer) return html`<${TroubleNotice} trouble=${trouble} />${trouble && back}`;
  const { file } = answer;
  const undo = file.state === "loaded" && html`<${Link} to=${`${ROOT}/quarantine?file_id=${file.file_id}`}>Replay or unload it<//>`;
  return html`
    <${TroubleNotice} trouble=${trouble} />
    <${Section} title=${`File ${file.file_id}`} actions=${html`<${FileState} file=${file} />${back}${undo}`}>
      <${Text} as="div" fontSize="lg" mb=${2}><${Name} name=${file.name} /><//>
      ${file.error && html`<${Notice} level=${file.state === "rejected" ? "bad" : "warning"} title=${why(file)}><${Raw} text=${file.error} /><//>`}
      ${file.drift && html`<${Notice} level="warning" title="It differs from its contract, or from earlier files.">${driftSays(file.drift)}<//>`}
      <${Tally} file=${file} timeline=${answer.timeline} />
    <//>
    <${Section} title="Its way">
      <${Table} label="What happened to the file" rows=${answer.timeline} columns=${TIMELINE} keyOf=${(step) => `${step.step}${step.at}`} />
    <//>
    <${Receipt} file=${file} />
    <${Rejects} answer=${answer} />
    <${Rows} file=${file} />
    <${Facts} answer=${answer} />
    <${Others} answer=${answer} />
    <${Audit} lines=${answer.audit} />
  `;
}

const CAUSES = {
  content: "Rejected for what is in it.",
  name: "Rejected for its name.",
  undoes: "Rejected: it would undo a newer revision.",
  changed: "Rejected: it changed after it was registered. What lies there now lands as a new file.",
  gone: "Rejected: its bytes are gone.",
};

function why(file) {
  if (file.waits_for_contract) return "No contract fits it. It is loaded when one does.";
  return CAUSES[file.rejected_for] ?? "What was said of it last.";
}

function Tally({ file, timeline }) {
  const loaded = timeline.find((step) => step.step === "loaded" && step.at);
  const landed = file.landed_again_at ?? file.landed_at;
  const lag = loaded ? Math.max(0, (new Date(loaded.at) - new Date(landed)) / 1000) : null;
  return html`<${Figures}>
    <${Figure} label="size" value=${bytes(file.bytes)} />
    <${Figure} label="rows read" value=${count(file.rows_read)} />
    <${Figure} label="loaded" value=${count(file.rows_loaded)} detail=${file.rows_expired ? `${count(file.rows_expired)} expired since` : null} />
    <${Figure} label="rejected" value=${html`<${Rejected} file=${file} />`} />
    <${Figure} label="duplicate" value=${count(file.rows_duplicate)} />
    <${Figure} label="landed to queryable" value=${seconds(lag)} />
  <//>`;
}

const TIMELINE = [
  { name: "step", head: "Step", of: (step) => `${STEPS[step.step] ?? step.step}` },
  { name: "at", head: "When", of: (step) => moment(step) },
  { name: "after", head: "Later by", number: true, of: (step) => (step.at && step.step !== "landed" ? seconds(step.seconds) : "–") },
];

function moment(step) {
  if (step.at) return html`<${Moment} at=${step.at} />`;
  return step.is_done ? "no moment is kept" : "not yet";
}

// --- receipt

function Receipt({ file }) {
  const [{ verified, trouble, isBusy }, set] = useState({});
  const verify = async () => {
    set({ isBusy: true });
    try {
      set({ verified: await ask(`files/${file.file_id}/receipt`) });
    } catch (trouble) {
      set({ trouble });
    }
  };
  if (!file.receipt && file.state !== "loaded") return null;
  const button = html`<${Button} size="sm" variant="outline" loading=${isBusy} onClick=${verify}>Verify<//>`;
  return html`<${Section} title="Receipt" actions=${button}>
    <${Text} fontSize="sm" overflowWrap="anywhere">
      ${file.receipt ? html`${file.receipt}, made <${Moment} at=${file.receipt_at} />` : "pending: it is made when no file waits to be loaded"}
    <//>
    <${Box} aria-live="polite">
      <${TroubleNotice} trouble=${trouble} />
      ${verified && html`<${Verified} verified=${verified} />`}
    <//>
  <//>`;
}

function Verified({ verified }) {
  if (verified.is_too_large)
    return html`<${Notice} level="warning" title="Too large to verify here.">
      In a terminal: <code>make receipt FILE_ID=${verified.file_id}</code>
    <//>`;
  if (verified.problems.length)
    return html`<${Notice} level="bad" title="The receipt does not hold.">
      <ul>
        ${verified.problems.map((problem) => html`<li key=${problem}>${problem}</li>`)}
      </ul>
    <//>`;
  if (verified.holds === null)
    return html`<${Notice} level="quiet" title="The counts are right; the receipt is still to be made." />`;
  return html`<${Notice} level="good" title="The receipt holds: the rows are those that were loaded.">
    ${`${count(verified.rows_loaded - (verified.rows_expired ?? 0))} rows counted and digested anew, digest ${verified.digest}`}
  <//>`;
}

// --- what was set aside, and what came in

const REJECTS = [
  { name: "rule", head: "Rule", of: (row) => html`<${Name} name=${row.rule} />` },
  { name: "state", head: "State", of: (row) => row.state },
  { name: "rejects", head: "Rows", number: true, of: (row) => count(row.rejects) },
];

function Rejects({ answer }) {
  const { by_rule, of_first } = answer.rejects;
  if (!by_rule.length) return null;
  const link = html`<${Link} to=${`${ROOT}/quarantine?file_id=${answer.file.file_id}`}>In the quarantine<//>`;
  return html`<${Section} title="Rows set aside, by rule" actions=${link}>
    ${of_first && html`<${Text} fontSize="sm">Of the first ${count(of_first)} of them.<//>`}
    <${Table} label="Rows set aside, by rule" rows=${by_rule} columns=${REJECTS} keyOf=${(row) => `${row.rule} ${row.state}`} />
  <//>`;
}

const NAMES = [
  "record_number", "event_id", "event_type", "event_time", "user_id", "product_id", "category", "price", "session_id",
  "ip_address", "user_agent", "search_query", "search_results_count", "quantity", "total_amount", "payment_method", "extra",
];
const NUMBERS = ["record_number", "price", "search_results_count", "quantity", "total_amount"];
const ROWS = NAMES.map((name) => ({
  name,
  head: name,
  number: NUMBERS.includes(name),
  of: (row) => html`<${Value} value=${row[name]} />`,
}));

// Null and empty look different.
function Value({ value }) {
  if (value === null) return html`<${Text} as="i" color="fg.muted">null<//>`;
  if (value === "") return html`<${Text} as="i" color="fg.muted">empty<//>`;
  return html`<${Box} as="span" display="inline-block" minW=${`${Math.min(`${value}`.length + 1, 40)}ch`}><${Raw} text=${value} /><//>`;
}

function Rows({ file }) {
  const { answer, trouble } = useAnswer(`files/${file.file_id}/rows`, {}, 0);
  if (!file.rows_read) return null;
  return html`
    <${TroubleNotice} trouble=${trouble} />
    ${answer?.first_reject && html`<${FirstReject} reject=${answer.first_reject} />`}
    ${
      answer &&
      html`<${Section} title=${answer.of_more ? "A hundred of its first rows" : "Its first rows"}>
        <${Table}
          label="Rows of the file"
          rows=${answer.rows}
          columns=${ROWS}
          keyOf=${(row) => row.record_number}
          empty="No row of this file is in events."
        />
      <//>`
    }
  `;
}

const FirstReject = ({ reject }) => html`
  <${Section} title="The first row that was set aside">
    <${Text} fontSize="sm">
      Record ${count(reject.record_number)}, line ${count(reject.line_number)}, ${bytes(reject.raw_bytes)}: ${reject.rules.join(", ")}
    <//>
    <${Box} as="pre" whiteSpace="pre-wrap" fontSize="sm" bg="bg.subtle" p=${2} maxH="12rem" overflowY="auto" tabIndex=${0}>
      <${Raw} text=${reject.raw} />${reject.raw_bytes > reject.raw.length && "…"}
    <//>
  <//>
`;

// --- whatever else is known

const WHY_NOT = {
  sealed: "deleted when the file was sealed",
  gone: "not there",
  unseen: "not to be seen from Airflow's web server",
};

function Facts({ answer }) {
  const { file, run, bytes_lie: lie } = answer;
  const facts = [
    ["contract", html`<${ContractLink} contract=${file.contract} />${file.contract_version && ` version ${file.contract_version}`}`],
    ["DAG run", run?.run_id && html`<${Link} to=${`/dags/ingest_events/runs/${encodeURIComponent(run.run_id)}`}>${run.run_id}<//>`],
    ["stream", run && `epoch ${run.epoch}, lane ${file.lane}, on ${file.host}`],
    ["micro-batch", run?.batch && html`${count(run.batch.batch)}, committed <${Moment} at=${run.batch.committed_at} />`],
    ["claim", file.claim && count(file.claim)],
    ["bytes", html`<${Raw} text=${lie.path || "no path"} />${lie.is_there ? ", there" : `, ${WHY_NOT[lie.why]}`}`],
    ["sha256", file.sha256],
    ["events from", file.first_event_time],
    ["events to", file.last_event_time],
    ["header", file.header && html`<${Raw} text=${file.header.join(", ")} />`],
    ["read as", file.read_as && html`<${Raw} text=${JSON.stringify(file.read_as)} />`],
    ["encoding by its mark", file.marked_encoding],
    ["rows that a rule warns of", file.rows_warned ? count(file.rows_warned) : null],
  ].filter(([, value]) => value);
  return html`<${Section} title="What is known of it">
    <${Box} as="dl" fontSize="sm">
      ${facts.map(
        ([name, value]) => html`<${Box} key=${name} display="flex" flexWrap="wrap" columnGap=${3} py=${0.5}>
          <${Box} as="dt" color="fg.muted" width="11rem">${name}<//>
          <${Box} as="dd" flex="1 1 15rem" minW=${0} overflowWrap="anywhere">${value}<//>
        <//>`,
      )}
    <//>
  <//>`;
}

const OF_NAME = [
  { name: "file_id", head: "File", number: true, of: (file) => fileLink(file.file_id) },
  { name: "state", head: "State", of: (file) => html`<${FileState} file=${file} />` },
  { name: "bytes", head: "Size", number: true, of: (file) => `${bytes(file.bytes)}${file.has_same_bytes ? ", the same bytes" : ""}` },
  { name: "rows", head: "Loaded", number: true, of: (file) => count(file.rows_loaded) },
  { name: "landed", head: "Landed", of: (file) => html`<${Moment} at=${file.landed_at} />` },
];
const OF_BYTES = [
  OF_NAME[0],
  { name: "name", head: "Name", of: (file) => html`<${Name} name=${file.name} />` },
  OF_NAME[1],
  OF_NAME[4],
];
const SHOWN = 20;

function Others({ answer }) {
  const { same_name, same_bytes, replaced } = answer;
  const keyOf = (file) => file.file_id;
  const more = (files) => files.length > SHOWN && html`<${Text} fontSize="sm">The newest ${SHOWN}; there are more.<//>`;
  return html`
    ${
      same_name.length > 0 &&
      html`<${Section} title="Other files of this name">
        ${replaced.length > 0 && html`<${Text} fontSize="sm">It replaced ${replaced.map((one) => html`<span key=${one.file_id}>${" file "}${fileLink(one.file_id)}</span>`)}.<//>`}
        <${Table} label="Other files of this name" rows=${same_name.slice(0, SHOWN)} columns=${OF_NAME} keyOf=${keyOf} />${more(same_name)}
      <//>`
    }
    ${
      same_bytes.length > 0 &&
      html`<${Section} title="Files with the same bytes">
        <${Table} label="Files with the same bytes" rows=${same_bytes.slice(0, SHOWN)} columns=${OF_BYTES} keyOf=${keyOf} />${more(same_bytes)}
      <//>`
    }
  `;
}

const AUDIT = [
  { name: "at", head: "When", of: (line) => html`<${Moment} at=${line.at} />` },
  { name: "action", head: "What", of: (line) => line.action },
  { name: "who", head: "Who", of: (line) => html`<${Raw} text=${line.by_whom} />` },
  { name: "reason", head: "Why", of: (line) => html`<${Raw} text=${line.reason} />` },
  { name: "details", head: "Details", of: (line) => html`<${Raw} text=${line.details} />` },
];

const Audit = ({ lines }) =>
  lines.length > 0 &&
  html`<${Section} title="Audit">
    <${Table} label="Audit of the file" rows=${lines} columns=${AUDIT} keyOf=${(line) => `${line.at} ${line.action}`} />
  <//>`;
