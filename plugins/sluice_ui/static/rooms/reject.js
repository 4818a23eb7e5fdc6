// One reject: its raw bytes with the field at fault marked, its rules in words, and a form that edits and replays it.

import {
  ask,
  Box,
  Button,
  bytes,
  ChakraUI,
  count,
  Flex,
  html,
  Input,
  Link,
  Moment,
  Raw,
  ROOT,
  Sign,
  Stack,
  Text,
  TroubleNotice,
  useEffect,
  useState,
  visible,
} from "../kit.js";
import { RunState, useRun } from "../run.js";

const { Textarea } = ChakraUI;
const LONG = 120;

// What a replay returned, in words.
export function Tally({ result }) {
  const rules = Object.entries(result.still_rejected_by_rule ?? {});
  return html`<${Box} data-tally="">
    <${Text}>
      ${result.edited !== undefined && html`${count(result.edited)} edited, `}${count(result.considered)} judged again: ${" "}
      <b>${count(result.loaded)} loaded</b>, ${count(result.duplicate)} were in events already, ${" "}
      <b>${count(result.still_rejected)} still set aside</b>.
    <//>
    ${rules.length > 0 &&
    html`<ul style=${{ listStyle: "disc", paddingLeft: "1.5rem" }}>
      ${rules.map(([rule, rows]) => html`<li key=${rule}><${Raw} text=${rule} />: ${count(rows)}</li>`)}
    </ul>`}
    ${(result.not_judged ?? []).map((why) => html`<${Text} key=${why}>Not judged: <${Raw} text=${why} /><//>`)}
  <//>`;
}

const Piece = ({ piece }) =>
  piece.field === null
    ? html`<bdi>${visible(piece.text)}</bdi>`
    : html`<${Box}
        as="mark"
        bg="orange.subtle"
        color="orange.fg"
        borderWidth="1px"
        borderColor="orange.emphasized"
        borderRadius="sm"
        px=${1}
        title=${`${visible(piece.field)}: ${piece.rules.map(visible).join(", ")}`}
        ><bdi>${piece.text === "" ? "(empty)" : visible(piece.text)}</bdi><//
      >`;

function RawBytes({ reject }) {
  const marked = reject.pieces.filter((piece) => piece.field !== null).map((piece) => piece.field);
  const unmarked = reject.fields_at_fault.filter((field) => !marked.includes(field));
  return html`<${Box}>
    <${Box}
      as="pre"
      tabIndex=${0}
      role="region"
      aria-label=${`Raw bytes of record ${reject.record_number} of file ${reject.file_id}`}
      fontFamily="mono"
      fontSize="sm"
      whiteSpace="pre-wrap"
      overflowWrap="anywhere"
      maxH="16rem"
      overflowY="auto"
      bg="bg.subtle"
      borderWidth="1px"
      borderRadius="md"
      px=${2}
      py=${1}
    >
      ${reject.pieces.map((piece, at) => html`<${Piece} key=${at} piece=${piece} />`)}
    <//>
    <${Text} fontSize="sm" color="fg.muted">
      ${marked.length > 0 && html`marked: ${marked.map((name, at) => html`${at > 0 && ", "}<${Raw} key=${name} text=${name} />`)} · `}
      ${unmarked.length > 0 &&
      html`not found in the bytes: ${unmarked.map((name, at) => html`${at > 0 && ", "}<${Raw} key=${name} text=${name} />`)} · `}
      ${bytes(reject.bytes)}${reject.is_trimmed ? ", trimmed" : ""}
    <//>
  <//>`;
}

function Field({ field, form, value, change }) {
  const isLong = (value ?? "").length > LONG || /[\r\n]/.test(value ?? "");
  const typed = { size: "sm", dir: "auto", value: value ?? "", onChange: (event) => change(event.target.value) };
  const id = `field-${form}-${field.name}`;
  return html`<${Box} data-field=${field.name}>
    <label htmlFor=${id}>
      <${Raw} text=${field.name} />
      ${field.rules.map((rule) => html` <${Sign} key=${rule} level="warning"><${Raw} text=${rule} /><//>`)}
      ${field.is_missing && html` <${Sign} level="warning">the record has it not<//>`}
    </label>
    <${Flex} gap=${2} align="center">
      <${isLong ? Textarea : Input} id=${id} ...${typed} disabled=${value === null} placeholder=${value === null ? "no value" : "empty text"} />
      <${Text} as="label" fontSize="sm" whiteSpace="nowrap">
        <input type="checkbox" checked=${value === null} onChange=${(event) => change(event.target.checked ? null : "")} /> no value
      <//>
    <//>
    ${visible(value ?? "") !== (value ?? "") &&
    html`<${Text} fontSize="sm" color="fg.muted">with characters that are not seen: <${Raw} text=${value} /><//>`}
  <//>`;
}

function Form({ reject, done }) {
  const [changes, setChanges] = useState({});
  const run = useRun("replay_quarantine", "judge_rejects_again", done);
  const isOver = run.state === "success";
  const valueOf = (field) => (field.name in changes ? changes[field.name] : field.value);
  const changed = reject.fields.filter((field) => valueOf(field) !== field.value || field.is_missing || reject.needs_all);
  const isReady = changed.some((field) => field.name in changes) && !run.isBusy && !isOver;
  const submit = (event) => {
    event.preventDefault();
    if (!isReady) return;
    const fields = Object.fromEntries(changed.map((field) => [field.name, valueOf(field)]));
    run.start({ edits: [{ file_id: reject.file_id, record_number: reject.record_number, fields }] });
  };
  return html`<${Box} as="form" onSubmit=${submit} mt=${2} maxW="48rem">
    ${reject.needs_all &&
    html`<${Text}>This record has not as many fields as the header: give each of them; what cannot be told apart is above.<//>`}
    <${Stack} gap=${2} as="fieldset" disabled=${run.isBusy || isOver}>
      ${reject.fields.map(
        (field) => html`<${Field}
          key=${field.name}
          field=${field}
          form=${`${reject.file_id}-${reject.record_number}`}
          value=${valueOf(field)}
          change=${(value) => setChanges((last) => ({ ...last, [field.name]: value }))}
        />`,
      )}
    <//>
    <${Flex} gap=${2} mt=${2} align="center" wrap="wrap">
      <${Button} type="submit" size="sm" colorPalette="blue" disabled=${!isReady}>Save and replay<//>
      <${Text} fontSize="sm" color="fg.muted">
        ${Object.keys(changes).length ? "What you changed also stands in the run's configuration, in Airflow." : "Change a field first."}
      <//>
    <//>
    <${RunState} run=${run}>${(result) => html`<${Tally} result=${result} />`}<//>
  <//>`;
}

function Editor({ fileId, record, done }) {
  const [state, setState] = useState({ reject: null, trouble: null });
  useEffect(() => {
    const stop = new AbortController();
    ask(`quarantine/rejects/${fileId}/${record}`, {}, stop.signal)
      .then((reject) => setState({ reject, trouble: null }))
      .catch((trouble) => stop.signal.aborted || setState({ reject: null, trouble }));
    return () => stop.abort();
  }, [fileId, record]);
  const { reject, trouble } = state;
  if (!reject) return html`<${TroubleNotice} trouble=${trouble} />`;
  if (!reject.is_editable)
    return html`<${Text}>
      ${reject.state === "quarantined"
        ? "Its fields cannot be edited here: they are not known, or too long. Correct the file and land it again."
        : `It is ${reject.state} by now, and no longer in the quarantine.`}
    <//>`;
  return html`<${Form} reject=${reject} done=${done} />`;
}

export function Reject({ reject, done }) {
  const [isEdited, setEdited] = useState(false);
  const at = `record ${reject.record_number}, line ${reject.line_number}`;
  return html`<${Box} as="article" borderWidth="1px" borderRadius="md" p=${3} mb=${3} data-reject=${`${reject.file_id}/${reject.record_number}`}>
    <${Flex} gap=${2} wrap="wrap" align="baseline">
      <${Link} to=${`${ROOT}/files/${reject.file_id}`} style=${{ textDecoration: "underline", minWidth: 0 }}>
        file ${reject.file_id}: <${Raw} text=${reject.name} />
      <//>
      <${Text} as="span">record ${count(reject.record_number)}, line ${count(reject.line_number)}<//>
      <${Text} as="span" color="fg.muted"><${Raw} text=${`${reject.contract} ${reject.contract_version}`} /><//>
      <${Text} as="span" color="fg.muted"><${Moment} at=${reject.rejected_at} /><//>
      ${reject.edited_at && html`<${Sign} level="quiet">edited <${Moment} at=${reject.edited_at} /><//>`}
    <//>
    <ul style=${{ listStyle: "disc", paddingLeft: "1.5rem" }}>
      ${reject.rules.map(({ rule, words }) => html`<li key=${rule}><b><${Raw} text=${rule} /></b>: <${Raw} text=${words} /></li>`)}
    </ul>
    <${RawBytes} reject=${reject} />
    <${Button}
      size="sm"
      variant="outline"
      mt=${2}
      aria-expanded=${isEdited}
      aria-label=${`${isEdited ? "Close the form of" : "Edit fields and replay"} ${at}`}
      onClick=${() => setEdited(!isEdited)}
      >${isEdited ? "Close the form" : "Edit fields and replay"}<//
    >
    ${isEdited && html`<${Editor} fileId=${reject.file_id} record=${reject.record_number} done=${done} />`}
  <//>`;
}
