// Room Now: whether it is well, and what it does.

import { Ago, bytes, count, Figure, Figures, html, Notice, seconds, Section, Sign, TroubleNotice, useAnswer } from "../kit.js";

export function Now() {
  const { answer, trouble } = useAnswer("now");
  if (!answer) return html`<${TroubleNotice} trouble=${trouble} />`;
  return html`
    <${TroubleNotice} trouble=${trouble} />
    <${Section} title="Now">
      <${Figures}><${Figure} label="rows loaded a second" value=${count(answer.rows_per_second)} /><//>
    <//>`;
}
