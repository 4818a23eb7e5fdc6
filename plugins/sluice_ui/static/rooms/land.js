// Room Land a file: drop a CSV, see what would become of each row, land it, watch it arrive.

import {
  ask, Badge, Box, Button, bytes, count, Figure, Figures, Flex, html, Link, Notice, Raw, ROOT, Section, send, share, Sign,
  Stack, Table, Text, TroubleNotice, upload, useAnswer, useEffect, useRef, useState,
} from "../kit.js";

const OUTCOMES = {
  loads: ["good", "It would load."],
  rejected: ["bad", "The whole file would be rejected."],
  no_contract: ["bad", "No contract fits it: the whole file would be rejected."],
  waits: ["warning", "It would wait: a contract cannot be used."],
  duplicate: ["quiet", "It is there already: a file of the same bytes."],
  never_taken: ["bad", "A file of this name is never taken."],
  not_judged: ["warning", "It cannot be judged before it lands."],
};
const MAY_LAND = new Set(["loads", "waits", "not_judged"]);
// What a contract changes that is corrected or added meanwhile.
const FOR_CONTRACT = new Set(["no_contract", "waits", "rejected"]);
// A value of so many characters stands in one line: a number in two is read as two.
const IN_ONE_LINE = 40;
const ENDED = new Set(["loaded", "rejected", "duplicate", "waiting", "replaced", "unloaded"]);

export function Land() {
  const [step, setStep] = useState({ name: "choose" });
  const [trouble, setTrouble] = useState(null);
  const attempt = async (work) => {
    setTrouble(null);
    try {
      await work();
    } catch (found) {
      setTrouble(found);
      setStep({ name: "choose" });
    }
  };
  const judge = async (file, token) => {
    setStep({ name: "judging", file });
    setStep({ name: "judged", file, token, verdict: await send("POST", `uploads/${token}/check`) });
  };
  const take = (file) =>
    attempt(async () => {
      setStep({ name: "sending", file, sent: 0 });
      const taken = await upload("uploads", file, (sent) => setStep({ name: "sending", file, sent }));
      await judge(file, taken.upload);
    });
  const land = ({ token, verdict }) =>
    attempt(async () => {
      setStep({ name: "landing", verdict });
      setStep({ name: "landed", landed: await send("POST", `uploads/${token}/land`) });
    });
  const leave = (token) => {
    if (token) send("DELETE", `uploads/${token}`).catch(() => {});
    setStep({ name: "choose" });
  };
  return html`<${Section} title="Land a file">
    <${Text} color="fg.muted" mb=${2}
      >It is judged before it lands: you see which rows would load and which would be set aside, and why.<//
    >
    <${TroubleNotice} trouble=${trouble} />
    ${step.name === "choose" && html`<${Choose} take=${take} />`}
    ${step.name === "sending" && html`<${Sending} ...${step} />`}
    ${step.name === "judging" && html`<${Text} role="status">Judging <${Raw} text=${step.file.name} /> …<//>`}
    ${step.name === "landing" && html`<${Text} role="status">Landing …<//>`}
    ${step.name === "judged" &&
    html`<${Judged}
      ...${step}
      land=${() => land(step)}
      again=${() => attempt(() => judge(step.file, step.token))}
      leave=${() => leave(step.token)}
    />`}
    ${step.name === "landed" && html`<${Arriving} landed=${step.landed} leave=${() => leave(null)} />`}
  <//>`;
}

function Choose({ take }) {
  const [over, setOver] = useState(false);
  const input = useRef(null);
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  };
  const drag = (event) => {
    event.preventDefault();
    setOver(true);
  };
  return html`<${Box}
    borderWidth="2px"
    borderStyle="dashed"
    borderColor=${over ? "blue.solid" : "border.emphasized"}
    borderRadius="md"
    p=${10}
    textAlign="center"
    onDragOver=${drag}
    onDragLeave=${() => setOver(false)}
    onDrop=${drop}
  >
    <${Text} mb=${3}>Drop a CSV here (.csv, .csv.gz, .csv.zst), or<//>
    <${Button} onClick=${() => input.current.click()}>Choose a file<//>
    <input
      ref=${input}
      type="file"
      aria-label="CSV file"
      style=${{ display: "none" }}
      onChange=${(event) => event.target.files.length && take(event.target.files[0])}
    />
  <//>`;
}

const Sending = ({ file, sent }) => html`<${Stack} gap=${2}>
  <${Text} role="status">Sending <${Raw} text=${file.name} />: ${bytes(sent)} of ${bytes(file.size)}<//>
  <progress value=${sent} max=${file.size || 1} style=${{ width: "100%" }} aria-label="Sent" />
<//>`;

// What its sign says: not all is well where rows would be set aside.
function saidOf({ outcome, rows_set_aside: aside }) {
  if (outcome === "loads" && aside) return ["warning", `It would load, but for ${count(aside)} ${aside === 1 ? "row" : "rows"}.`];
  return OUTCOMES[outcome] ?? ["warning", outcome];
}

function Judged({ verdict, token, land, again, leave }) {
  const [level, words] = saidOf(verdict);
  const mayLand = MAY_LAND.has(verdict.outcome);
  return html`<${Stack} gap=${3}>
    <${Flex} gap=${3} align="center" wrap="wrap">
      <${Text} fontWeight="600"><${Raw} text=${verdict.name} /><//>
      <${Sign} level=${level}>${words}<//>
      ${verdict.contract && html`<${Badge}>contract ${verdict.contract} ${verdict.contract_version}<//>`}
    <//>
    ${verdict.why && html`<${Notice} level=${level} title=${words}><${Raw} text=${verdict.why} /><//>`}
    ${verdict.rows_read > 0 && html`<${Counts} verdict=${verdict} />`}
    ${verdict.drift && html`<${Notice} title="It is not as its contract lets expect."><${Raw} text=${verdict.drift} /><//>`}
    ${verdict.earlier?.length > 0 && html`<${Revision} verdict=${verdict} />`}
    ${verdict.outcome === "no_contract" && html`<${Draft} token=${token} />`}
    ${verdict.examples?.length > 0 && html`<${SetAside} verdict=${verdict} />`}
    ${mayLand && verdict.first_rows?.length > 0 && html`<${FirstRows} rows=${verdict.first_rows} />`}
    <${Flex} gap=${2} wrap="wrap">
      ${mayLand && html`<${Button} colorPalette="blue" onClick=${land}>Land it<//>`}
      ${FOR_CONTRACT.has(verdict.outcome) && html`<${Button} variant="outline" onClick=${again}>Judge it again<//>`}
      <${Button} variant="outline" onClick=${leave}>Leave it, choose another one<//>
    <//>
  <//>`;
}

// Of a file that is not taken no row would load, whatever its rows are like.
const Counts = ({ verdict }) => html`<${Figures}>
  <${Figure}
    label="rows read"
    value=${count(verdict.rows_read)}
    detail=${verdict.is_whole ? "the whole file" : `stopped at row ${count(verdict.rows_read)}`}
  />
  <${Figure}
    label=${MAY_LAND.has(verdict.outcome) ? "would load" : "keep their contract"}
    value=${count(verdict.rows_good)}
    detail=${MAY_LAND.has(verdict.outcome) ? "whether a row is there already is decided at load" : "none of them would load"}
  />
  <${Figure}
    label=${MAY_LAND.has(verdict.outcome) ? "would be set aside" : "break it"}
    value=${count(verdict.rows_set_aside)}
    detail=${share(verdict.rows_set_aside, verdict.rows_read)}
  />
<//>`;

const Revision = ({ verdict }) => html`<${Notice} title="Loaded files have this name.">
  ${verdict.revision === "replace" ? "Their rows leave when it loads: " : "Its rows come beside theirs: "}
  ${verdict.earlier.map(
    (one) => html`<${Link} key=${one.file_id} to=${`${ROOT}/files/${one.file_id}`}>file ${one.file_id}<//> `,
  )}
<//>`;

// What a value is: null, empty text and a value look different.
export function Value({ value }) {
  if (value === null || value === undefined) return html`<${Text} as="i" color="fg.muted">no value<//>`;
  if (value === "") return html`<${Text} as="i" color="fg.muted">empty text<//>`;
  return html`<${Raw} text=${typeof value === "object" ? JSON.stringify(value) : value} />`;
}

const InOneLine = ({ text, children }) =>
  html`<${Box} whiteSpace=${text.length <= IN_ONE_LINE ? "nowrap" : undefined}>${children}<//>`;

function FirstRows({ rows }) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = names.map((name) => ({
    name,
    head: name,
    of: (row) => html`<${InOneLine} text=${`${row[name] ?? ""}`}><${Value} value=${row[name]} /><//>`,
  }));
  const numbered = rows.map((row, at) => ({ ...row, " at": at }));
  return html`<${Section} title="The first rows, as they would stand in events">
    <${Table} label="First rows" rows=${numbered} columns=${columns} keyOf=${(row) => row[" at"]} />
  <//>`;
}

function SetAside({ verdict }) {
  const rules = Object.entries(verdict.broken).map(([rule, rows]) => ({ rule, rows }));
  const ofRules = [
    { name: "rule", head: "rule", of: (row) => html`<${Raw} text=${row.rule} />` },
    { name: "rows", head: "rows", number: true, of: (row) => count(row.rows) },
  ];
  const ofRows = [
    { name: "record", head: "record", number: true, of: (row) => count(row.record) },
    { name: "line", head: "line", number: true, of: (row) => count(row.line) },
    { name: "rules", head: "breaks", of: (row) => row.rules.map((rule) => html`<${InOneLine} key=${rule} text=${rule}><${Raw} text=${rule} /><//>`) },
    { name: "fields", head: "with", of: (row) => html`<${Offending} row=${row} />` },
    { name: "raw", head: "as the file has it", of: (row) => html`<code><${Raw} text=${row.raw.slice(0, 300)} /></code>` },
  ];
  return html`<${Section} title="Rows that would be set aside">
    <${Table} label="Rules" rows=${rules} columns=${ofRules} keyOf=${(row) => row.rule} />
    <${Box} mt=${3}>
      <${Table} label="Rows" rows=${verdict.examples} columns=${ofRows} keyOf=${(row) => row.record} />
    <//>
    ${verdict.rows_set_aside > verdict.examples.length &&
    html`<${Text} color="fg.muted">The first ${verdict.examples.length} of ${count(verdict.rows_set_aside)}.<//>`}
  <//>`;
}

// The fields that the rules name: a rule is "column.rule".
function Offending({ row }) {
  const columns = new Set(row.rules.map((rule) => rule.slice(0, rule.lastIndexOf(".")).toLowerCase()));
  const found = Object.entries(row.fields).filter(([name]) => columns.has(name.toLowerCase()));
  return html`${found.map(
    ([name, value]) => html`<${Box} key=${name}><b><${Raw} text=${name} /></b>: <${Value} value=${value} /><//>`,
  )}`;
}

function Draft({ token }) {
  const [draft, setDraft] = useState(null);
  const [trouble, setTrouble] = useState(null);
  const make = () => send("POST", `uploads/${token}/draft`).then(setDraft, setTrouble);
  const save = () => {
    const name = /^name: *([\w-]+)/m.exec(draft.text)?.[1] ?? "feed";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([draft.text], { type: "application/yaml" }));
    link.download = `${name}.odcs.yaml`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  if (!draft)
    return html`<${TroubleNotice} trouble=${trouble} /><${Button} size="sm" alignSelf="start" onClick=${make}>Draft a contract for such files<//>`;
  return html`<${Section} title="A contract for such files, drafted from this one">
    <${Text} mb=${2}>
      Look at what it guessed, save it under include/contracts where the pipeline runs, then judge the file again.
    <//>
    <${Box} fontSize="sm" whiteSpace="pre-wrap">
      ${draft.told.map((line, at) => html`<div key=${at}><${Raw} text=${line} /></div>`)}
    <//>
    <${Button} size="sm" my=${2} onClick=${save}>Download it<//>
    <${Box} as="pre" tabIndex=${0} aria-label="Draft" maxH="30rem" overflow="auto" p=${3} bg="bg.subtle" fontSize="sm">${draft.text}<//>
  <//>`;
}

function Arriving({ landed, leave }) {
  const [ended, setEnded] = useState(false);
  const { answer, trouble } = useAnswer(
    `arrivals/${landed.sha256}`,
    { name: landed.name, after: landed.after },
    ended ? 0 : 1000,
  );
  const file = answer?.file;
  useEffect(() => setEnded(Boolean(file && ENDED.has(file.state))), [file?.state]);
  return html`<${Stack} gap=${3}>
    <${TroubleNotice} trouble=${trouble} />
    <${Text} role="status">
      <${Raw} text=${landed.name} /> has landed (${bytes(landed.bytes)}).
      ${file ? html` <${Link} to=${`${ROOT}/files/${file.file_id}`}>File ${file.file_id}<//> is ${file.state}.` : " It waits to be moved."}
    <//>
    ${file?.rows_read !== null &&
    file?.rows_read !== undefined &&
    html`<${Figures}>
      <${Figure} label="rows read" value=${count(file.rows_read)} />
      <${Figure} label="loaded" value=${count(file.rows_loaded)} />
      <${Figure} label="set aside" value=${count(file.rows_rejected)} />
      <${Figure} label="duplicate" value=${count(file.rows_duplicate)} />
    <//>`}
    ${file?.error && html`<${Notice} level="bad" title="It was rejected."><${Raw} text=${file.error} /><//>`}
    <${Button} alignSelf="start" variant="outline" onClick=${leave}>Land another one<//>
  <//>`;
}
