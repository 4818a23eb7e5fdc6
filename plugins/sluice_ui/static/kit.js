// What the rooms are made of: Airflow's own React, Chakra and router, how to ask, how to say numbers and moments.
// Text of files is only ever given to React as text: never innerHTML, never an address, never a style.

import htm from "./vendor/htm.js";

export const { React, ChakraUI, ReactRouterDOM } = globalThis;
export const { useCallback, useEffect, useMemo, useRef, useState } = React;
export const { Link, useLocation, useNavigate, useSearchParams } = ReactRouterDOM;
export const { Badge, Box, Button, Flex, Heading, Input, Stack, Text } = ChakraUI;
export const html = htm.bind(React.createElement);

export const ROOT = "/plugin/sluice";
const POLL_MS = 2000;

// --- asking

export class Trouble extends Error {
  constructor(status, answer) {
    super(detailOf(answer?.detail) ?? `the server answered ${status}`);
    this.status = status;
    this.code = answer?.code ?? (status === 403 ? "forbidden" : "error");
    this.since = answer?.since ?? null;
  }
}

// What cannot be asked so comes as a list of what is wrong with which part of the address.
const detailOf = (detail) =>
  Array.isArray(detail) ? detail.map(({ loc, msg }) => `${loc?.at(-1) ?? "the address"}: ${msg}`).join("; ") : detail;

const address = (path) => new URL(path, document.baseURI);

async function answerOf(response) {
  if (response.status === 401) {
    const login = address("api/v2/auth/login");
    login.searchParams.set("next", location.href);
    location.assign(login);
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Trouble(response.status, answer);
  return answer;
}

// One question to the page's own app: ask("files", {state: "loaded"}). Parts of the path are encoded by the caller.
export async function ask(path, query = {}, signal = undefined) {
  const url = address(`sluice/api/${path}`);
  for (const [name, value] of Object.entries(query))
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  return answerOf(await fetch(url, { signal, headers: { Accept: "application/json" } }));
}

// Airflow's public API with the viewer's own rights: airflow("GET", "dags/ingest_events").
export async function airflow(method, path, body = undefined) {
  const headers = { Accept: "application/json", ...(body ? { "Content-Type": "application/json" } : {}) };
  return answerOf(await fetch(address(`api/v2/${path}`), { method, headers, body: body && JSON.stringify(body) }));
}

// Start a DAG with these params; the run, as Airflow tells it.
export const trigger = (dag, conf) => airflow("POST", `dags/${dag}/dagRuns`, { logical_date: null, conf });

// The answer to a question, asked again every `every` ms (0: once) while the page is visible, one at a time. What was
// answered last stays while the next answer is on its way, and in trouble, unless it answers another question:
// {answer, trouble, again}. `of` in the query says of when the answer is, and makes no other question of it.
export function useAnswer(path, query = {}, every = POLL_MS) {
  const [{ answer, trouble }, setState] = useState({ answer: null, trouble: null, question: null });
  const [round, setRound] = useState(0);
  const asked = JSON.stringify([path, query]);
  const question = JSON.stringify([path, { ...query, of: undefined }]);
  useEffect(() => {
    const stop = new AbortController();
    let timer = null;
    let isAsking = false;
    let isAnswered = false;
    const once = async () => {
      clearTimeout(timer);
      if (isAsking || document.hidden) return; // the next one follows what is on its way, or the page when it is seen
      isAsking = true;
      try {
        const answer = await ask(path, query, stop.signal);
        isAnswered = true;
        setState({ answer, trouble: null, question });
      } catch (trouble) {
        if (!stop.signal.aborted)
          setState((last) => ({ answer: last.question === question ? last.answer : null, trouble, question }));
      }
      isAsking = false;
      if (every && !stop.signal.aborted) timer = setTimeout(once, every);
    };
    const shown = () => (every || !isAnswered) && once();
    once();
    document.addEventListener("visibilitychange", shown);
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [asked, every, round]);
  return { answer, trouble, again: () => setRound((last) => last + 1) };
}

// The filters of a room are the query of its address, so that every view can be sent as a link.
export function useFilters() {
  const [found, set] = useSearchParams();
  const values = Object.fromEntries(found.entries());
  const change = (changes) =>
    set(
      (last) => {
        const next = new URLSearchParams(last);
        for (const [name, value] of Object.entries(changes))
          value === null || value === "" ? next.delete(name) : next.set(name, value);
        return next;
      },
      { replace: true },
    );
  return [values, change];
}

// --- saying

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });

export const count = (number) => (number === null || number === undefined ? "–" : whole.format(number));

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (number >= 1000 && at < units.length - 1) (number /= 1000), at++;
  return `${number.toFixed(at && number < 100 ? 1 : 0)} ${units[at]}`;
}

export function seconds(number) {
  if (number === null || number === undefined) return "–";
  if (number < 1) return `${Math.round(number * 1000)} ms`;
  if (number < 100) return `${number.toFixed(1)} s`;
  if (number < 7200) return `${Math.round(number / 60)} min`;
  return number < 172800 ? `${Math.round(number / 3600)} h` : `${Math.round(number / 86400)} days`;
}

export const share = (part, of) => (of ? `${((100 * part) / of).toFixed(part && part / of < 0.001 ? 2 : 1)} %` : "–");

// A moment in the viewer's zone; the exact instant on hover. What no clock shows, an address may say: it stays text.
export function Moment({ at }) {
  if (!at) return html`<span>–</span>`;
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return html`<${Raw} text=${at} />`;
  return html`<time dateTime=${at} title=${at}>${precise.format(moment)}</time>`;
}

// How long ago, which goes on by itself.
export function Ago({ at }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((last) => last + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  if (!at) return html`<span>never</span>`;
  const passed = Math.max(0, Math.floor((Date.now() - new Date(at)) / 1000));
  const long = passed < 100 ? `${passed} s` : seconds(passed);
  return html`<time dateTime=${at} title=${at}>${passed < 2 ? "just now" : `${long} ago`}</time>`;
}

// --- showing

// A number that does not jump: digits of one width, on the right.
export const Figure = ({ label, value, detail = null, href = null }) => html`
  <${Box} borderWidth="1px" borderColor="border.emphasized" borderRadius="md" px=${3} py=${2} minW="9rem" flex="1 1 9rem">
    <${Text} as="dt" fontSize="sm" color="fg.muted">${href ? html`<${Link} to=${href}>${label}<//>` : label}<//>
    <${Text} as="dd" fontSize="2xl" fontVariantNumeric="tabular-nums">${value}<//>
    ${detail && html`<${Text} as="dd" fontSize="sm" color="fg.muted">${detail}<//>`}
  <//>`;

export const Figures = ({ children }) => html`<${Flex} as="dl" gap=${2} wrap="wrap">${children}<//>`;

export const Section = ({ title, children, actions = null }) => html`
  <${Box} as="section" mt=${5}>
    <${Flex} align="center" gap=${3} mb=${2} wrap="wrap">
      <${Heading} as="h2" size="md">${title}<//>
      ${actions}
    <//>
    ${children}
  <//>`;

// rows is an array; columns are {name, head, of: (row) => node, number: bool}. Scrolls by itself when it is too wide.
export const Table = ({ rows, columns, label, keyOf, empty = "Nothing yet." }) => html`
  <${Box} overflowX="auto" tabIndex=${0} role="region" aria-label=${label}>
    <table style=${{ width: "100%", borderCollapse: "collapse", fontVariantNumeric: "tabular-nums" }}>
      <thead>
        <tr>
          ${columns.map(
            (column) => html`<${Box}
              as="th"
              key=${column.name}
              scope="col"
              px=${2}
              py=${1}
              textAlign=${column.number ? "right" : "left"}
              fontWeight="600"
              borderBottomWidth="1px"
              whiteSpace="nowrap"
              >${column.head}<//
            >`,
          )}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) => html`<${Box} as="tr" key=${keyOf(row)} _hover=${{ bg: "bg.subtle" }}>
            ${columns.map(
              (column) => html`<${Box}
                as="td"
                key=${column.name}
                px=${2}
                py=${1}
                textAlign=${column.number ? "right" : "left"}
                borderBottomWidth="1px"
                borderColor="border.subtle"
                whiteSpace=${column.number ? "nowrap" : undefined}
                verticalAlign="top"
                ><bdi>${column.of(row)}</bdi><//
              >`,
            )}
          <//>`,
        )}
      </tbody>
    </table>
    ${rows.length === 0 && html`<${Text} p=${3} color="fg.muted">${empty}<//>`}
  <//>`;

const SIGNS = { good: "green", warning: "orange", bad: "red", quiet: "gray" };

// A state in words, its colour only beside them.
export const Sign = ({ level, children }) =>
  html`<${Badge} colorPalette=${SIGNS[level] ?? "gray"} variant="surface" size="md" whiteSpace="normal" h="auto"
    >${children}<//
  >`;

// What is not as it should be, with what to do; docs is a page of the project's documentation.
export const Notice = ({ level = "warning", title, children }) => html`
  <${Box}
    role=${level === "bad" ? "alert" : "status"}
    borderLeftWidth="4px"
    borderColor=${`${SIGNS[level]}.solid`}
    bg="bg.subtle"
    px=${3}
    py=${2}
    my=${2}
  >
    <${Text} fontWeight="600">${title}<//>
    ${children && html`<${Box} fontSize="sm">${children}<//>`}
  <//>`;

const MEANS = {
  away: "The database does not answer. The page goes on asking; Airflow is not affected.",
  busy: "Many ask just now; the page asks again by itself.",
  slow: "This takes longer than a page may ask; the page asks again by itself.",
  forbidden: "Your role in Airflow may not see this: it takes the right to trigger replay_quarantine.",
};

export const TroubleNotice = ({ trouble }) =>
  trouble &&
  html`<${Notice} level=${trouble.code === "forbidden" ? "warning" : "bad"} title=${MEANS[trouble.code] ?? trouble.message}>
    ${trouble.since && html`<${Text}>since <${Moment} at=${trouble.since} /><//>`}
  <//>`;

// Text as its file has it: in one direction of its own, characters that would do something made visible.
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
export const visible = (text) =>
  String(text).replace(CONTROL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
export const Raw = ({ text }) => html`<bdi style=${{ overflowWrap: "anywhere" }}>${visible(text)}</bdi>`;

// --- sending, to the page's own app

// A header of the page's own, which no form of another site can send.
const OURS = { "X-Sluice": "page", Accept: "application/json" };

// send("POST", "uploads/…/land"): the answer. Raises Trouble.
export const send = async (method, path) =>
  answerOf(await fetch(address(`sluice/api/${path}`), { method, headers: OURS }));

// Send a file as it is; `sent` is called with the bytes that are on their way. Raises Trouble.
export const upload = (path, file, sent) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(`sluice/api/${path}`));
    request.responseType = "json";
    for (const [name, value] of Object.entries(OURS)) request.setRequestHeader(name, value);
    request.setRequestHeader("X-Sluice-Name", encodeURIComponent(file.name));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => sent(event.loaded));
    request.addEventListener("load", () =>
      request.status < 300 ? resolve(request.response) : reject(new Trouble(request.status, request.response)),
    );
    request.addEventListener("error", () => reject(new Trouble(0, { detail: "the connection broke: try again" })));
    request.send(file);
  });
