// Room Quarantine: what is set aside by rule, over time and by file; examples, and the ways back.

import {
  ask,
  Box,
  Button,
  count,
  Figure,
  Figures,
  Flex,
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
  useEffect,
  useFilters,
  useState,
} from "../kit.js";
import { RunButton } from "../run.js";
import { Unload } from "../unload.js";
import { Reject, Tally } from "./reject.js";

// A zone that is an offset has the other sign in PostgreSQL.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
const ZONE = /^[A-Za-z]/.test(zone) ? zone : "UTC";
const COUNTS_MS = 10_000;
const PAGE = 10;
const RANGES = [
  ["1", "in the last 24 hours"],
  ["7", "in the last 7 days"],
  ["30", "in the last 30 days"],
  ["90", "in the last 90 days"],
  ["", "at any time"],
];
const TEXTS = { contract: "contract", rule: "rule" };
const FILTERS = { ...TEXTS, file_id: "file" };

function Filters({ chosen, change }) {
  const isOfOurs = RANGES.some(([days]) => days === (chosen.days ?? ""));
  const ranges = isOfOurs ? RANGES : [...RANGES, [chosen.days, `in the last ${chosen.days} days`]];
  return html`<${Flex} gap=${3} wrap="wrap" align="center" mt=${3} role="group" aria-label="Filters">
    <label>
      Set aside ${" "}
      <${Box}
        as="select"
        value=${chosen.days ?? ""}
        onChange=${(event) => change({ days: event.target.value })}
        bg="bg"
        borderWidth="1px"
        borderRadius="md"
        px=${2}
        py=${1}
      >
        ${ranges.map(([days, says]) => html`<option key=${days} value=${days}>${says}</option>`)}
      <//>
    </label>
    ${Object.entries(FILTERS)
      .filter(([name]) => chosen[name])
      .map(
        ([name, says]) => html`<${Button}
          key=${name}
          size="xs"
          variant="subtle"
          maxW="100%"
          whiteSpace="normal"
          h="auto"
          minH=${6}
          aria-label=${`Drop the filter ${says}`}
          onClick=${() => change({ [name]: null })}
          >${says} <${Raw} text=${chosen[name]} /> ✕<//
        >`,
      )}
  <//>`;
}

// --- over time

const hour = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "short" });
const day = new Intl.DateTimeFormat("sv", { dateStyle: "short" });
const month = new Intl.DateTimeFormat("sv", { year: "numeric", month: "2-digit" });
const SAYS = { hour, day, month };
const STEP = {
  hour: (at, by) => new Date(at.getTime() + by * 3_600_000),
  day: (at, by) => new Date(at.getFullYear(), at.getMonth(), at.getDate() + by),
  month: (at, by) => new Date(at.getFullYear(), at.getMonth() + by, 1),
};
const LEAST_BARS = 24;
const MOST_BARS = 400;

// The stretches in which nothing was set aside have a bar too, of no height.
function filled(found, unit) {
  const rows = new Map(found.map((each) => [new Date(each.begins).getTime(), each.rows]));
  if (!found.length) return [];
  const moments = [];
  const first = new Date(found[0].begins);
  const end = Math.max(Date.now(), new Date(found[found.length - 1].begins).getTime());
  for (let at = first; at.getTime() <= end && moments.length < MOST_BARS; at = STEP[unit](at, 1)) moments.push(at);
  while (moments.length < LEAST_BARS) moments.unshift(STEP[unit](moments[0], -1));
  return moments.map((begins) => ({ begins, rows: rows.get(begins.getTime()) ?? 0 }));
}

function OverTime({ answer }) {
  const bars = filled(answer.by_time, answer.unit);
  if (!bars.length) return null;
  const most = Math.max(...bars.map((bar) => bar.rows));
  const says = (at) => SAYS[answer.unit].format(new Date(at));
  const width = bars.length > 120 ? "1px" : "3px";
  return html`<${Section} title=${`Set aside by ${answer.unit}`}>
    <${Flex}
      role="img"
      aria-label=${`Rows set aside by ${answer.unit}, ${says(bars[0].begins)} to ${says(bars[bars.length - 1].begins)}, at most ${count(most)}`}
      align="flex-end"
      gap="1px"
      h="7rem"
      borderBottomWidth="1px"
      overflow="hidden"
    >
      ${bars.map(
        (bar) => html`<${Box}
          key=${bar.begins.getTime()}
          title=${`${says(bar.begins)}: ${count(bar.rows)}`}
          flex="1 1 0"
          minW=${width}
          h=${bar.rows ? `${Math.max(2, (100 * bar.rows) / most)}%` : "0"}
          bg="orange.solid"
        />`,
      )}
    <//>
    <${Flex} justify="space-between" fontSize="sm" color="fg.muted" gap=${2}>
      <span>${says(bars[0].begins)}</span><span>highest: ${count(most)}</span><span>${says(bars[bars.length - 1].begins)}</span>
    <//>
    <details>
      <summary>The same as a table</summary>
      <${Table}
        label=${`Rows set aside by ${answer.unit}`}
        rows=${[...answer.by_time].reverse()}
        keyOf=${(row) => row.begins}
        columns=${[
          { name: "begins", head: `${answer.unit} (${answer.zone})`, of: (row) => says(row.begins) },
          { name: "rows", head: "rows", number: true, of: (row) => count(row.rows) },
        ]}
      />
    </details>
  <//>`;
}

// --- by rule, by file

const Choose = ({ text, label, onClick, minW = 0 }) =>
  html`<${Button}
    variant="plain"
    fontSize="md"
    fontWeight="400"
    textDecoration="underline"
    h="auto"
    minH=${6}
    minW=${minW}
    p=${0}
    whiteSpace="normal"
    textAlign="left"
    justifyContent="flex-start"
    aria-label=${label}
    onClick=${onClick}
  >
    <${Raw} text=${text} />
  <//>`;

const ByRule = ({ answer, change }) =>
  html`<${Table}
    label="Rejects by contract and rule"
    rows=${answer.by_rule}
    keyOf=${(row) => `${row.contract} ${row.rule}`}
    empty="Nothing is in quarantine that fits."
    columns=${[
      {
        name: "contract",
        head: "contract",
        of: (row) =>
          html`<${Choose} text=${row.contract} label=${`Only contract ${row.contract}`} onClick=${() => change({ contract: row.contract })} />`,
      },
      {
        name: "rule",
        head: "rule",
        of: (row) =>
          html`<${Choose}
            text=${row.rule}
            minW="12rem"
            label=${`Only rule ${row.rule} of ${row.contract}`}
            onClick=${() => change({ contract: row.contract, rule: row.rule })}
          />`,
      },
      { name: "rows", head: "rows", number: true, of: (row) => count(row.rows) },
      { name: "newest", head: "newest", of: (row) => html`<${Moment} at=${row.newest} />` },
      { name: "words", head: "in words", of: (row) => html`<${Raw} text=${row.words} />` },
    ]}
  />`;

const ByFile = ({ answer, change }) =>
  html`<${Table}
    label="Files with the most rejects"
    rows=${answer.by_file}
    keyOf=${(row) => row.file_id}
    empty="No file has a reject that fits."
    columns=${[
      {
        name: "file",
        head: "file",
        of: (row) =>
          html`<${Box} minW="16ch"
            ><${Link} to=${`${ROOT}/files/${row.file_id}`} style=${{ textDecoration: "underline" }}>${row.file_id}: <${Raw} text=${row.name} /><//
          ><//>`,
      },
      { name: "rows", head: "rows in this view", number: true, of: (row) => count(row.rows) },
      { name: "rejected", head: "rejected in all", number: true, of: (row) => count(row.rows_rejected) },
      { name: "share", head: "of what was read", number: true, of: (row) => share(row.rows_rejected, row.rows_read) },
      {
        name: "only",
        head: "filter",
        of: (row) =>
          html`<${Button}
            size="xs"
            variant="outline"
            aria-label=${`Only file ${row.file_id}`}
            onClick=${() => change({ file_id: String(row.file_id) })}
            >Only this file<//
          >`,
      },
    ]}
  />`;

// --- examples

// The rejects so far, and how to get more: {rows, trouble, hasMore, more(), again()}.
function usePages(query) {
  const [state, setState] = useState({ rows: null, next: null, trouble: null });
  const [round, setRound] = useState(0);
  const asked = JSON.stringify(query);
  const get = async (next, signal) => {
    const [before_file, before_record] = next ?? [];
    return ask("quarantine/rejects", { ...query, most: PAGE, before_file, before_record }, signal);
  };
  useEffect(() => {
    const stop = new AbortController();
    get(null, stop.signal)
      .then((page) => setState({ ...page, trouble: null }))
      .catch((trouble) => stop.signal.aborted || setState({ rows: null, next: null, trouble }));
    return () => stop.abort();
  }, [asked, round]);
  const more = () =>
    get(state.next)
      .then((page) => setState((last) => ({ rows: [...(last.rows ?? []), ...page.rows], next: page.next, trouble: null })))
      .catch((trouble) => setState((last) => ({ ...last, trouble })));
  return { ...state, more, again: () => setRound((last) => last + 1) };
}

function csvAddress(query) {
  const url = new URL("sluice/api/quarantine/rejects.csv", document.baseURI);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  return url.href;
}

function Examples({ query }) {
  const { rows, next, trouble, more, again } = usePages(query);
  const actions = rows?.length
    ? html`<a href=${csvAddress(query)} target="_blank" rel="noreferrer" style=${{ textDecoration: "underline" }}>
          Download these rejects as CSV with reasons
        </a>
        <${Button} size="xs" variant="ghost" onClick=${again}>Look again<//>`
    : null;
  return html`<${Section} title="Rejects, the newest files first" actions=${actions}>
    <${TroubleNotice} trouble=${trouble} />
    ${rows?.length === 0 && html`<${Text} color="fg.muted">No reject fits.<//>`}
    ${(rows ?? []).map((reject) => html`<${Reject} key=${`${reject.file_id}/${reject.record_number}`} reject=${reject} />`)}
    ${next && html`<${Button} size="sm" variant="outline" onClick=${more}>More<//>`}
  <//>`;
}

// --- the ways back

// Stays where nothing is left to replay, so that the tally of what was does.
function Replay({ query, answer, done }) {
  const named = [query.rule && "this rule", query.file_id && "this file", !query.rule && query.contract && "this contract"];
  const what = `all of ${named.filter(Boolean).join(" in ") || "it"}`;
  const conf = { contract: query.contract ?? null, rule: query.rule ?? null, file_id: query.file_id ? Number(query.file_id) : null };
  return html`<${Section} title="Replay">
    <${Text} fontSize="sm">
      Judges them again under today's contracts and loads what passes, exactly once: after a contract was corrected.
      ${query.days && " A replay takes no heed of when they were set aside."}
    <//>
    <${RunButton}
      dag="replay_quarantine"
      task="judge_rejects_again"
      conf=${conf}
      label=${`Replay ${what}`}
      disabled=${!answer.rows}
      mt=${2}
      done=${done}
      >${(result) => html`<${Tally} result=${result} />`}<//
    >
  <//>`;
}

const Empty = ({ isFiltered, change }) =>
  isFiltered
    ? html`<${Notice} level="quiet" title="Nothing in quarantine fits.">
        <${Button} size="xs" variant="outline" onClick=${() => change({ contract: null, rule: null, file_id: null, days: null })}>
          Show all of it
        <//>
      <//>`
    : html`<${Notice} level="good" title="Nothing is in quarantine.">
        Every row of every loaded file is in events, or a duplicate of one. A row that breaks its contract would be here, with its reason.
      <//>`;

const Counts = ({ answer, change }) => html`
  ${answer.is_capped &&
  html`<${Notice} level="quiet" title=${`More than ${count(answer.most)} rows are set aside: only the newest ${count(answer.most)} are counted here.`} />`}
  <${Section} title="Set aside">
    <${Figures}>
      <${Figure} label="rows in quarantine" value=${`${count(answer.rows)}${answer.is_capped ? " and more" : ""}`} />
      <${Figure} label="files they are of" value=${count(answer.files)} />
      <${Figure} label="rules broken" value=${count(answer.by_rule.length)} />
    <//>
  <//>
  <${OverTime} answer=${answer} />
  <${Section} title="By contract and rule"><${ByRule} answer=${answer} change=${change} /><//>
  <${Section} title="The worst files"><${ByFile} answer=${answer} change=${change} /><//>
`;

// What of the address means something.
function queryOf(chosen) {
  const query = Object.fromEntries(["contract", "rule", "file_id", "days"].map((name) => [name, chosen[name]]));
  return Object.fromEntries(
    Object.entries(query).filter(([name, value]) => value && (name in TEXTS || /^[1-9]\d{0,15}$/.test(value))),
  );
}

export function Quarantine() {
  const [chosen, change] = useFilters();
  const query = queryOf(chosen);
  const { answer, trouble, again } = useAnswer("quarantine", { ...query, zone: ZONE }, COUNTS_MS);
  const isFiltered = Object.keys(query).length > 0;
  return html`
    <${Filters} chosen=${query} change=${change} />
    <${TroubleNotice} trouble=${trouble} />
    ${answer &&
    html`
      ${answer.rows === 0 && html`<${Empty} isFiltered=${isFiltered} change=${change} />`}
      ${answer.rows > 0 && html`<${Counts} answer=${answer} change=${change} />`}
      <${Replay} key=${`replay ${JSON.stringify(query)}`} query=${query} answer=${answer} done=${again} />
      ${query.file_id &&
      html`<${Section} title=${`Unload file ${query.file_id}`}>
        <${Unload} key=${query.file_id} fileId=${Number(query.file_id)} done=${again} />
      <//>`}
    `}
    <${Examples} key=${`examples ${JSON.stringify(query)}`} query=${query} />
  `;
}
