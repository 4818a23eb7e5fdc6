// Bars side by side: days, hours. A picture only: a table beside it has each figure, and the links for the keyboard.

import { Box, Flex, html, Text, useNavigate } from "./kit.js";

const HEIGHT = 150;
const FILLED = 0.78;
const COLOURS = ["blue", "orange"];
const colour = (name) => `var(--chakra-colors-${name}-solid)`;

// Where a number stands between the least and the most of all, from top to bottom.
function scale(bars) {
  const tops = bars.flatMap(({ values, before }) => [values.reduce((sum, value) => sum + value, 0), before ?? 0]);
  const most = Math.max(0, ...tops);
  const least = Math.min(0, ...tops);
  const size = most - least || 1;
  return { most, least, at: (number) => ((most - number) / size) * HEIGHT };
}

// The pieces of one bar, stacked: [{from, to}, …].
function pieces(values) {
  let below = 0;
  return values.map((value) => ({ from: below, to: (below += value) }));
}

const Swatch = ({ name, children }) => html`
  <${Flex} align="center" gap=${1}>
    <${Box} as="span" w="0.8em" h="0.8em" style=${{ background: colour(name) }} aria-hidden="true" />
    <span>${children}</span>
  <//>`;

// bars: [{key, title, values, before, to, open}]; series are the names of the values of each, from the bottom to the top;
// said is how a number is written at the axis. before: a number of the range before, drawn as a line across.
export function Bars({ label, bars, series, said }) {
  const go = useNavigate();
  const { most, least, at } = scale(bars);
  const width = 100 / bars.length;
  const compared = bars.some(({ before }) => before !== null && before !== undefined);
  const x = (place, share) => `${(place + (1 - share) / 2) * width}%`;
  return html`<figure style=${{ margin: 0, minWidth: 0 }}>
    <${Flex} gap=${4} fontSize="sm" wrap="wrap" mb=${1}>
      ${series.length > 1 && series.map((name, place) => html`<${Swatch} key=${name} name=${COLOURS[place]}>${name}<//>`)}
      ${compared && html`<${Swatch} name="gray">line: the range before<//>`}
    <//>
    <${Text} fontSize="xs" color="fg.muted" fontVariantNumeric="tabular-nums">${said(most)}<//>
    <svg width="100%" height=${HEIGHT} role="img" aria-label=${label} style=${{ display: "block" }}>
      ${bars.map(
        (bar, place) => html`<g
          key=${bar.key}
          data-bar=${bar.key}
          onClick=${bar.to ? () => go(bar.to) : undefined}
          style=${{ cursor: bar.to ? "pointer" : "default" }}
        >
          <title>${bar.title}</title>
          <rect x=${x(place, 1)} width=${`${width}%`} y="0" height=${HEIGHT} fill="transparent" />
          ${pieces(bar.values).map(({ from, to }, which) => {
            const [top, bottom] = [at(Math.max(from, to)), at(Math.min(from, to))];
            return html`<rect
              key=${which}
              x=${x(place, FILLED)}
              width=${`${width * FILLED}%`}
              y=${top}
              height=${from === to ? 0 : Math.max(bottom - top, 1)}
              style=${{ fill: colour(COLOURS[which]), opacity: bar.open ? 0.5 : 1 }}
            />`;
          })}
          ${bar.before !== null &&
          bar.before !== undefined &&
          html`<line
            x1=${x(place, 1)}
            x2=${`${(place + 1) * width}%`}
            y1=${at(bar.before)}
            y2=${at(bar.before)}
            style=${{ stroke: colour("gray"), strokeWidth: 2 }}
          />`}
        </g>`,
      )}
      <line x1="0" x2="100%" y1=${at(0)} y2=${at(0)} style=${{ stroke: "currentColor", opacity: 0.5 }} />
    </svg>
    <${Flex} justify="space-between" fontSize="xs" color="fg.muted">
      <span>${bars[0].key}</span>
      ${least < 0 && html`<span>${said(least)} at the bottom</span>`}
      ${bars.length > 1 && html`<span>${bars[bars.length - 1].key}</span>`}
    <//>
  </figure>`;
}
