// A run of a DAG that the viewer starts with their own rights: asked for, watched until it ends, and its tally.

import { airflow, Box, Button, html, Link, Notice, Text, trigger, useEffect, useState } from "./kit.js";

const EVERY_MS = 2000;
const ENDED = ["success", "failed"];
const NONE = { id: null, state: null, result: null, trouble: null };

const runPath = (dag, id) => `dags/${encodeURIComponent(dag)}/dagRuns/${encodeURIComponent(id)}`;

// What the task returned, null when there is nothing that the viewer may see; an XCom is told as it is stored, which may
// be JSON as text. Raises Trouble when Airflow does not answer now.
async function resultOf(dag, id, task) {
  try {
    const { value } = await airflow("GET", `${runPath(dag, id)}/taskInstances/${task}/xcomEntries/return_value`);
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch (trouble) {
    if (trouble.status === 403 || trouble.status === 404) return null;
    throw trouble;
  }
}

// {id, state, result, trouble, isBusy, start(conf), forget()}. state: null, asking, refused, or one of Airflow's: queued,
// running, success, failed. result: what `task` returned, once it is a success. done(result) is called then.
export function useRun(dag, task, done = null) {
  const [run, setRun] = useState(NONE);
  const isBusy = run.state === "asking" || (run.id !== null && !ENDED.includes(run.state));

  useEffect(() => {
    if (run.id === null || ENDED.includes(run.state)) return undefined;
    let isOver = false;
    let timer = null;
    const look = async () => {
      if (!document.hidden) {
        try {
          const { state } = await airflow("GET", runPath(dag, run.id));
          const result = state === "success" ? await resultOf(dag, run.id, task) : null;
          if (isOver) return;
          setRun((last) => ({ ...last, state, result, trouble: null }));
          if (state === "success" && done) done(result);
          if (ENDED.includes(state)) return;
        } catch (trouble) {
          if (isOver) return;
          setRun((last) => ({ ...last, trouble }));
        }
      }
      timer = setTimeout(look, EVERY_MS);
    };
    timer = setTimeout(look, EVERY_MS / 4);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [run.id, ENDED.includes(run.state)]);

  const start = async (conf) => {
    setRun({ ...NONE, state: "asking" });
    try {
      const started = await trigger(dag, conf);
      setRun({ ...NONE, id: started.dag_run_id, state: started.state });
    } catch (trouble) {
      setRun({ ...NONE, state: "refused", trouble });
    }
  };
  return { ...run, dag, task, isBusy, start, forget: () => setRun(NONE) };
}

const SAYS = {
  asking: "Asking Airflow…",
  queued: "Queued: it begins as soon as Airflow has a place for it.",
  running: "Running…",
  success: "Done.",
  failed: "It failed: the log of its task says why.",
};

const refusal = (trouble) =>
  trouble.status === 403
    ? "Your role in Airflow may not start this: it takes the right to trigger its DAG."
    : `Airflow did not take it: ${trouble.message}`;

// Where a run stands; children(result) shows the tally of one that is done.
export function RunState({ run, children = null }) {
  const { state, id, dag, task, trouble, result } = run;
  return html`<${Box} aria-live="polite" my=${state ? 2 : 0} data-run=${state ?? "none"}>
    ${state === "refused" && html`<${Notice} level="bad" title=${refusal(trouble)} />`}
    ${state === "failed" && html`<${Notice} level="bad" title=${SAYS.failed} />`}
    ${SAYS[state] && state !== "failed" && html`<${Text} as="span">${SAYS[state]}<//>`}
    ${id !== null &&
    html` <${Link} to=${`/dags/${dag}/runs/${id}/tasks/${task}`} style=${{ textDecoration: "underline" }}>
      ${state === "failed" ? "Its log" : "Its run in Airflow"}
    <//>`}
    ${trouble && state !== "refused" && html`<${Text} fontSize="sm">Airflow did not answer just now: ${trouble.message}<//>`}
    ${state === "success" && children && (result ? children(result) : " What it told is not to be seen here.")}
  <//>`;
}

// A button that starts a run, and where it stands. conf: an object, or a function that makes it at the click.
export function RunButton({ dag, task, conf, label, done = null, disabled = false, children = null, ...looks }) {
  const run = useRun(dag, task, done);
  const start = () => run.start(typeof conf === "function" ? conf() : conf);
  return html`<${Box}>
    <${Button} size="sm" variant="outline" ...${looks} disabled=${disabled || run.isBusy} onClick=${start}>${label}<//>
    <${RunState} run=${run}>${children}<//>
  <//>`;
}
