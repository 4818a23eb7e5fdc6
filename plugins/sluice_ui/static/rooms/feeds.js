// Feeds: whether the files of each contract come when they should, and hold what they should.

import { html, Link, Moment, Notice, Raw, ROOT, Section, Sign, Table, Text, TroubleNotice, useAnswer } from "../kit.js";
import { Name } from "./files.js";

const LEVELS = { fine: "good", late: "warning", missing: "bad", too_small: "warning", too_dirty: "warning", unknown: "quiet" };

const COLUMNS = [
  {
    name: "feed",
    head: "Feed",
    of: (one) =>
      one.numbers.files_seen
        ? html`<${Link} to=${`${ROOT}/contracts/${encodeURIComponent(one.name)}`}><${Raw} text=${one.name} /><//>`
        : html`<${Raw} text=${one.name} />`,
  },
  { name: "state", head: "State", of: (one) => html`<${Sign} level=${LEVELS[one.state]}>${one.state_in_words}<//>` },
  {
    name: "last",
    head: "Last file",
    of: ({ numbers }) =>
      numbers.file_id
        ? html`<${Moment} at=${numbers.file_at} /><br /><${Link} to=${`${ROOT}/files/${numbers.file_id}`}><${Name} name=${numbers.file} /><//>`
        : "none yet",
  },
  { name: "next", head: "Next expected by", of: (one) => html`<${Moment} at=${one.numbers.expected_at} />` },
  { name: "basis", head: "Judged by", of: (one) => html`<${Raw} text=${[one.says, one.basis].filter(Boolean).join("; ")} />` },
];

const NOT_FINE = (one) => !["fine", "unknown"].includes(one.state);

function Missed({ feed }) {
  const { numbers, remedy, says, state, state_in_words: words, name } = feed;
  const title = html`Feed <${Raw} text=${name} /> is ${words}.`;
  return html`<${Notice} level=${LEVELS[state]} title=${title}>
    ${says ? html`<${Raw} text=${`${says}. `} />` : html`It was expected by <${Moment} at=${numbers.expected_at} />. `}
    To do: <${Raw} text=${remedy} />.
  <//>`;
}

export function Feeds() {
  const { answer, trouble } = useAnswer("feeds", {}, 10000);
  return html`<${Section} title="Calendar of feeds">
    <${Text} fontSize="sm" color="fg.muted" mb=${2}>
      What a contract says by its property expect; where it says nothing, what its files did before.
    <//>
    <${TroubleNotice} trouble=${trouble} />
    ${answer?.trouble && html`<${Notice} level="bad" title=${answer.trouble} />`}
    ${answer && answer.feeds.filter(NOT_FINE).map((feed) => html`<${Missed} key=${feed.name} feed=${feed} />`)}
    ${
      answer &&
      html`<${Table}
        label="Feeds"
        rows=${answer.feeds}
        columns=${COLUMNS}
        keyOf=${(one) => one.name}
        empty="There is no contract. Contracts are in include/contracts: make contract FILE=some.csv drafts one."
      />`
    }
  <//>`;
}
