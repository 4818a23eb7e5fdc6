// How it goes in one line, for the strip on the DAG's page and the card on Airflow's first one.

import { bytes, ChakraUI, count, Flex, html, Link, ROOT, seconds, Sign, Text, useAnswer } from "./kit.js";

export const EVERY_MS = 5000;

// A link that looks like one, in the midst of text.
export const Go = ({ to, children }) => html`<${ChakraUI.Link} asChild color="fg.info" textDecoration="underline">
  <${Link} to=${to}>${children}<//>
<//>`;

// A level in words; the colour is only beside them.
export const LEVELS = { good: "healthy", warning: "warning", bad: "failure", quiet: "quiet" };

export const backlogOf = ({ files, bytes: size, is_more: isMore }) =>
  files ? `${isMore ? "more than " : ""}${count(files)} ${files === 1 ? "file" : "files"}, ${bytes(size)}` : "no file waits";

export const lagOf = ({ p95, minutes }) =>
  p95 === null ? `no file in the last ${minutes} minutes` : `${seconds(p95)} from landed to queryable (p95)`;

export function Line() {
  const { answer, trouble } = useAnswer("now/line", {}, EVERY_MS);
  if (trouble?.code === "forbidden") return null;
  if (trouble) return html`<${Text} role="status">Sluice: ${trouble.message}<//>`;
  if (!answer) return html`<${Text}>Sluice: …<//>`;
  const { health, stream, lag, backlog, pace, rows_out_per_second: rows } = answer;
  const alive = stream?.living ? `stream ${stream.epoch} is ${stream.state}` : "no stream is alive";
  return html`<${Flex} gap=${4} wrap="wrap" align="center" fontVariantNumeric="tabular-nums">
    <${Go} to=${ROOT}>Sluice<//>
    <${Sign} level=${health.level}>${LEVELS[health.level]}<//>
    <span>${alive}</span>
    <span>lag: ${lagOf(lag)}</span>
    <span>backlog: ${backlogOf(backlog)}</span>
    <span>${count(rows)} rows/s, ${pace}</span>
    ${["warning", "bad"].includes(health.level) && html`<bdi>${health.reason}</bdi>`}
  <//>`;
}
