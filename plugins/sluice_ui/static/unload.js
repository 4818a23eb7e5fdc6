// Taking a file back: first a dry run that says what would leave, then a reason, then the real one.

import { Box, Button, count, html, Input, Link, Notice, Raw, ROOT, Stack, Text, useAnswer, useState } from "./kit.js";
import { RunState, useRun } from "./run.js";

const DAG = "unload_file";
const TASK = "take_back_file";
const REASON_MIN = 3;

const file = (id) => html`<${Link} to=${`${ROOT}/files/${id}`} style=${{ textDecoration: "underline" }}>file ${id}<//>`;

function Reports({ days }) {
  const { answer } = useAnswer("quarantine/reports", {}, 0);
  const feeds = Object.entries(days ?? {});
  if (!feeds.length) return html`<li>No report changes: no row leaves.</li>`;
  return html`
    ${feeds.map(
      ([feed, { days: many, first, last }]) => html`<li key=${feed}>
        The reports count ${count(many)} ${many === 1 ? "day" : "days"} of feed <${Raw} text=${feed} /> anew: ${first}
        ${first !== last && ` to ${last}`} (UTC).
      </li>`,
    )}
    ${answer &&
    html`<li>
      <details>
        <summary>The ${answer.length} reports that are made of these days</summary>
        <ul style=${{ paddingLeft: "1.5rem" }}>
          ${answer.map(({ name, says }) => html`<li key=${name}><code>${name}</code>: ${says}</li>`)}
        </ul>
      </details>
    </li>`}
  `;
}

// What the task returned, in words; isDry: nothing of it has happened.
export function Withdrawn({ result, isDry }) {
  const given = Object.entries(result.given_back ?? {});
  const { heir, handed_over, rows_handed_over, followed = [] } = result.duplicates ?? {};
  const [leave, take, are] = isDry ? ["would leave", "would take over", "would be"] : ["left", "took over", "are"];
  return html`<ul data-withdrawn=${isDry ? "dry" : "done"} style=${{ listStyle: "disc", paddingLeft: "1.5rem" }}>
    <li><b>${count(result.rows_removed)}</b> rows ${leave} events.</li>
    ${given.map(([id, rows]) => html`<li key=${id}>${file(id)} ${take} <b>${count(rows)}</b> rows, which it had as well.</li>`)}
    ${heir &&
    html`<li>
      ${file(heir)}, which has the same bytes, ${take}
      ${handed_over ? html` <b>${count(rows_handed_over)}</b> rows.` : " its place: it is loaded."}
    </li>`}
    ${followed.length > 0 && html`<li>${count(followed.length)} duplicates of its bytes ${are} taken back with it.</li>`}
    <li><b>${count(result.rejects_withdrawn)}</b> rejects ${are} withdrawn, with those that a replay has loaded.</li>
    ${result.rows_expired > 0 && html`<li>${count(result.rows_expired)} rows had left before, with months that are not kept.</li>`}
    <${Reports} days=${result.days_changed} />
  </ul>`;
}

export function Unload({ fileId, done = null }) {
  const [withDuplicates, setWithDuplicates] = useState(false);
  const [reason, setReason] = useState("");
  const dry = useRun(DAG, TASK);
  const real = useRun(DAG, TASK, done);
  const conf = { file_id: fileId, with_duplicates: withDuplicates };
  const change = (event) => {
    setWithDuplicates(event.target.checked);
    dry.forget();
  };
  const isSaid = reason.trim().length >= REASON_MIN;
  const isOver = real.state === "success";
  return html`<${Stack} gap=${2} align="start">
    <${Text} fontSize="sm">
      Its rows leave events and the reports in one transaction; rows that another file had as well stay, as that file's. First see
      what would happen: a dry run changes nothing.
    <//>
    <label>
      <input type="checkbox" checked=${withDuplicates} disabled=${dry.isBusy || real.isBusy || isOver} onChange=${change} />${" "}
      also files that landed with the same bytes
    </label>
    <${Button}
      size="sm"
      variant="outline"
      disabled=${dry.isBusy || real.isBusy || isOver}
      onClick=${() => dry.start({ ...conf, reason: "dry run", dry_run: true })}
      >Dry run: what would leave<//
    >
    <${RunState} run=${dry}>${(result) => html`<${Withdrawn} result=${result} isDry />`}<//>
    ${dry.result &&
    html`<${Box} as="form" onSubmit=${(event) => {
      event.preventDefault();
      real.start({ ...conf, reason: reason.trim(), dry_run: false });
    }}>
      <label>
        Why, for those who come after (the audit keeps it)
        <${Input}
          size="sm"
          maxW="40rem"
          display="block"
          value=${reason}
          minLength=${REASON_MIN}
          required
          disabled=${real.isBusy || isOver}
          onChange=${(event) => setReason(event.target.value)}
        />
      </label>
      <${Button} type="submit" size="sm" mt=${2} colorPalette="red" disabled=${!isSaid || real.isBusy || isOver}>
        Unload file ${fileId}
      <//>
    <//>`}
    <${RunState} run=${real}>
      ${(result) => html`<${Box}>
        <${Withdrawn} result=${result} isDry=${false} />
        ${result.reports && html`<${Notice} level="quiet" title=${`Reports: ${result.reports}`} />`}
      <//>`}
    <//>
  <//>`;
}
