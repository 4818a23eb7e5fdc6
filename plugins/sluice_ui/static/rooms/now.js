// Room Now: whether it is well, and what it does.

import { Chart } from "../chart.js";
import {
  Ago,
  Box,
  Button,
  bytes,
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
  seconds,
  Section,
  Sign,
  Stack,
  Table,
  Text,
  TroubleNotice,
  useAnswer,
  useFilters,
  visible,
} from "../kit.js";
import { backlogOf, Go, LEVELS } from "../line.js";

const SLOW_MS = 10_000;
const RANGES = ["1h", "24h", "7d"];
const RUNS = "/dags/ingest_events/runs";
const PHASES = { look: "looking for files", plan: "planning", load: "loading", checkpoint: "checkpoint" };
const OUTCOMES = {
  loaded: { sign: "●", level: "green", says: "loaded" },
  partly: { sign: "◐", level: "orange", says: "loaded, some rows rejected" },
  rejected: { sign: "✕", level: "red", says: "the file is rejected" },
  duplicate: { sign: "○", level: "gray", says: "a duplicate of another file" },
};

function Health({ health }) {
  return html`<${Section}
    title="Health"
    actions=${html`<${Sign} level=${health.worst.level}>${LEVELS[health.worst.level]}<//>
      <${Text} as="span"><${Raw} text=${health.worst.reason} /><//>`}
  >
    <${Stack} as="ul" gap=${1} fontSize="sm" listStyleType="none">
      ${health.judged.map(
        ({ of, level, reason }) => html`<${Flex} as="li" key=${of} gap=${2} align="baseline">
          <${Box} as="span" minW="5rem">${of}<//>
          <${Sign} level=${level}>${LEVELS[level]}<//>
          <${Raw} text=${reason} />
        <//>`,
      )}
    <//>
  <//>`;
}

function Stream({ stream }) {
  if (!stream)
    return html`<${Notice} title="No stream has been submitted yet.">
      DAG <${Go} to="/dags/ingest_events">ingest_events<//> submits one when the first file lands: land a file, or unpause it.
    <//>`;
  const run = stream.run_id && `${RUNS}/${encodeURIComponent(stream.run_id)}`;
  const since = stream.living ? stream.state_since : stream.ended_at;
  return html`<${Text} fontSize="sm" mb=${2}>
    Stream ${stream.epoch} (its epoch): ${stream.living ? `${stream.state} since ` : stream.ended_at ? "ended " : "lost its lease"}
    ${since && html`<${Moment} at=${since} /> (<${Ago} at=${since} />)`}
    ${stream.living && `, lease for another ${seconds(stream.lease_seconds_left)}`}
    ${stream.host && html`, on <${Raw} text=${stream.host} />`}
    ${run
      ? html`, submitted by <${Go} to=${run}><${Raw} text=${stream.run_id} /><//>${" ("}<${Go} to=${`${run}/tasks/submit_stream`}>its log<//>)`
      : html`, submitted by <${Raw} text=${stream.submitted_by} />`}.
    ${stream.last_error &&
    html`<br />Last error, <${Moment} at=${stream.last_error_at} />: <${Raw} text=${stream.last_error} />`}
  <//>`;
}

function paceOf({ pace, arrived, finished, seconds: of, seconds_left: left }) {
  const files = arrived === 1 ? "file" : "files";
  const rates = `${count(arrived)} ${files} arrived and ${count(finished)} ${finished === 1 ? "was" : "were"} finished in the last ${seconds(of)}`;
  return left === null ? `${pace}: ${rates}` : `${pace}, about ${seconds(left)} left: ${rates}`;
}

function Rates({ now }) {
  const { backlog, flow, lag } = now;
  const where = `${count(backlog.incoming)} in incoming, ${count(backlog.landed)} registered`;
  const held = backlog.held ? `, and ${count(backlog.held)} waiting for a contract` : "";
  return html`
    <${Text} mb=${2} data-sluice="pace">${paceOf(flow)}.<//>
    <${Figures}>
      <${Figure} label="rows a second, read" value=${count(now.rows_in_per_second)} detail="in the last minute" />
      <${Figure} label="rows a second, loaded" value=${count(now.rows_out_per_second)} detail="in the last minute" />
      <${Figure} label="backlog" value=${backlogOf(backlog)} detail=${where + held} />
      <${Figure} label="landed to queryable, p50" value=${seconds(lag.p50)} detail=${`last ${lag.minutes} minutes`} />
      <${Figure} label="landed to queryable, p95" value=${seconds(lag.p95)} detail=${`${count(lag.files)} files`} />
    <//>`;
}

function Lag() {
  const [filters, change] = useFilters();
  const range = RANGES.includes(filters.range) ? filters.range : RANGES[0];
  const { answer, trouble } = useAnswer("now/lag", { range }, SLOW_MS);
  const choose = html`<${Flex} role="group" aria-label="Range" gap=${1}>
    ${RANGES.map(
      (name) => html`<${Button}
        key=${name}
        size="xs"
        variant=${name === range ? "solid" : "outline"}
        aria-pressed=${name === range}
        onClick=${() => change({ range: name })}
        >${name}<//
      >`,
    )}
  <//>`;
  return html`<${Section} title="Landed to queryable" actions=${choose}>
    <${TroubleNotice} trouble=${trouble} />
    <${Figures}>
      <${Figure} label="p50" value=${seconds(answer?.p50)} detail=${`over ${range}`} />
      <${Figure} label="p95" value=${seconds(answer?.p95)} detail=${`over ${range}`} />
      <${Figure} label="files" value=${count(answer?.files)} detail=${answer?.is_sample ? `a sample of those of ${range}` : `over ${range}`} />
    <//>
  <//>`;
}

function Today() {
  const { answer, trouble } = useAnswer("now/today", {}, SLOW_MS);
  const detail = answer ? `of ${count(answer.files)} files` : null;
  return html`<${Section} title="Today">
    <${TroubleNotice} trouble=${trouble} />
    <${Figures}>
      <${Figure} label="rows loaded" value=${count(answer?.rows_loaded)} detail=${detail} />
      <${Figure} label="rows rejected" value=${count(answer?.rows_rejected)} detail=${detail} />
      <${Figure} label="rows duplicate" value=${count(answer?.rows_duplicate)} detail=${detail} />
    <//>
    ${answer &&
    html`<${Text} fontSize="sm" color="fg.muted" mt=${1}>since <${Moment} at=${answer.begun_at} />, when the shop's day began (${answer.zone})<//>`}
  <//>`;
}

function Proof({ proof }) {
  if (!proof)
    return html`<${Text}>Nobody has recounted yet. <code>make reconcile</code> counts every row again, from the files and the tables.<//>`;
  const of = proof.days === null ? "everything" : `what was loaded or changed in the last ${proof.days} days before`;
  return html`<${Text}>
    Recounted <${Moment} at=${proof.ended_at} /> (<${Ago} at=${proof.ended_at} />), ${of}: ${count(proof.files)} files,
    ${" "}${count(proof.rows)} rows, ${proof.holds
      ? "all accounted for."
      : `${count(proof.problems)} places where rows are not accounted for. Run make reconcile: it names each.`}
  <//>`;
}

const kindOf = ({ state, rows_rejected: rejected }) => (state === "loaded" && rejected ? "partly" : state);

function Outcomes({ outcomes }) {
  if (!outcomes.length) return html`<${Text} color="fg.muted">No file has come to an end yet. Land one: put a CSV file into incoming.<//>`;
  return html`
    <${Flex} as="ol" wrap="wrap" gap=${1} listStyleType="none" aria-label="The last files, newest first">
      ${outcomes.map((file) => {
        const { sign, level, says } = OUTCOMES[kindOf(file)];
        const words = `file ${file.file_id}, ${visible(file.name)}: ${says}`;
        return html`<${Box} as="li" key=${file.file_id} color=${`${level}.fg`} fontSize="lg" lineHeight="1">
          <${Link} to=${`${ROOT}/files/${file.file_id}`} aria-label=${words} title=${words}
            ><${Box} as="span" display="inline-block" minW="24px" minH="24px" textAlign="center">${sign}<//><//
          >
        <//>`;
      })}
    <//>
    <${Text} fontSize="sm" color="fg.muted" mt=${1}>
      ${Object.entries(OUTCOMES)
        .map(([, { sign, says }]) => `${sign} ${says}`)
        .join(" · ")}
    <//>`;
}

function Batches({ batches }) {
  const rising = [...batches].reverse();
  const phases = Object.entries(PHASES);
  const series = phases.map(([phase, label]) => ({ label, values: rising.map((batch) => batch.phases[phase] / 1000) }));
  const columns = [
    { name: "at", head: "committed", of: (batch) => html`<${Moment} at=${batch.committed_at} />` },
    { name: "batch", head: "micro-batch", of: (batch) => `${batch.epoch}.${batch.batch}`, number: true },
    { name: "lane", head: "lane", of: (batch) => batch.lane },
    { name: "files", head: "files", of: (batch) => count(batch.files), number: true },
    { name: "rows", head: "rows", of: (batch) => count(batch.rows_read), number: true },
    { name: "all", head: "took", of: (batch) => (batch.duration_ms === null ? "–" : seconds(batch.duration_ms / 1000)), number: true },
    ...phases.map(([phase, label]) => ({ name: phase, head: label, of: (batch) => seconds(batch.phases[phase] / 1000), number: true })),
  ];
  if (!batches.length) return html`<${Text} color="fg.muted">No micro-batch has been committed yet.<//>`;
  return html`
    <${Chart} label="Seconds of each phase, by micro-batch; the table below has the numbers" at=${rising.map((batch) => batch.committed_at)} series=${series} say=${seconds} />
    <details>
      <summary>The same as a table</summary>
      <${Table} label="Micro-batches" rows=${batches} columns=${columns} keyOf=${(batch) => `${batch.epoch}.${batch.lane}.${batch.batch}`} />
    </details>`;
}

function Waits() {
  const { answer, trouble } = useAnswer("now/waits", {}, SLOW_MS);
  return html`<${Section} title="What waits for somebody">
    <${TroubleNotice} trouble=${trouble} />
    ${answer && !answer.length && html`<${Text}>Nothing.<//>`}
    ${(answer ?? []).map(
      ({ kind, what, count: number, is_more: isMore, examples, remedy }) => html`<${Notice}
        key=${kind}
        title=${`${what}: ${isMore ? "more than " : ""}${count(number)}`}
      >
        <ul>
          ${examples.map(
            ({ file_id: id, name, why }) => html`<li key=${name}>
              ${id ? html`<${Go} to=${`${ROOT}/files/${id}`}><${Raw} text=${name} /><//>` : html`<${Raw} text=${name} />`}:
              ${" "}<${Raw} text=${why} />
            </li>`,
          )}
          ${number > examples.length && html`<li>and ${count(number - examples.length)} more</li>`}
        </ul>
        <p>${remedy}</p>
      <//>`,
    )}
  <//>`;
}

function Duty() {
  const { answer, trouble } = useAnswer("now/duty", {}, SLOW_MS);
  const looked = answer?.looked_at;
  return html`<${Section} title="On duty">
    <${TroubleNotice} trouble=${trouble} />
    ${answer && !answer.wrong.length && looked && html`<${Text}>Nothing was found wrong <${Ago} at=${looked} />.<//>`}
    ${answer && !looked && html`<${Text}>DAG <${Go} to="/dags/watch_feeds">watch_feeds<//> has not looked yet.<//>`}
    <${Stack} as="ul" gap=${3} fontSize="sm" listStyleType="none" data-sluice="duty">
      ${(answer?.wrong ?? []).map(
        ({ kind, name, level, since, sentence, figures, remedy }) => html`<${Box} as="li" key=${`${kind} ${name}`}>
          <${Sign} level=${level}>${LEVELS[level]}<//> <${Raw} text=${sentence} />${" "}
          Since <${Moment} at=${since} /> (<${Ago} at=${since} />).
          ${figures && html`<${Text} color="fg.muted"><${Raw} text=${figures} /><//>`}
          ${remedy && html`<${Text}><${Raw} text=${remedy} /><//>`}
        <//>`,
      )}
    <//>
    ${answer?.is_more && html`<${Text}>And more: make duty names all.<//>`}
    ${answer?.wrong.length > 0 && html`<${Text} fontSize="sm" color="fg.muted" mt=${1}>Looked at <${Ago} at=${looked} />.<//>`}
  <//>`;
}

export function Now() {
  const { answer, trouble } = useAnswer("now");
  if (!answer) return html`<${TroubleNotice} trouble=${trouble} />`;
  return html`
    <${TroubleNotice} trouble=${trouble} />
    <${Health} health=${answer.health} />
    <${Section} title="Stream">
      <${Stream} stream=${answer.stream} />
      <${Rates} now=${answer} />
    <//>
    <${Today} />
    <${Lag} />
    <${Section} title="The last files"><${Outcomes} outcomes=${answer.outcomes} /><//>
    <${Section} title="Micro-batches"><${Batches} batches=${answer.batches} /><//>
    <${Duty} />
    <${Waits} />
    <${Section} title="Conservation"><${Proof} proof=${answer.proof} /><//>
  `;
}
