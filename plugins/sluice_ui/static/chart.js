// A chart over time, drawn by uPlot on a canvas. Whoever shows one shows a table of the same numbers beside it.

import { Box, html, Text, useEffect, useRef, useState } from "./kit.js";

const COLOURS = ["blue", "orange", "green", "purple", "red", "teal"];
// Colour never alone.
const DASHES = [[], [6, 3], [14, 3], [10, 4, 2, 4], [2, 3], [1, 4]];
const DAY = 86_400;
const MINUTE = 60;
const address = (file) => new URL(`sluice/static/vendor/${file}`, document.baseURI).href;
let loading = null;

// uPlot is a script and not a module: it comes once, with its style sheet, when the first chart is shown.
function uPlotOnce() {
  loading ??= new Promise((resolve, reject) => {
    const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: address("uplot.css") });
    const script = Object.assign(document.createElement("script"), { src: address("uplot.js") });
    script.onload = () => resolve(globalThis.uPlot);
    script.onerror = () => {
      loading = null;
      reject(new Error("uplot.js could not be loaded"));
    };
    document.head.append(sheet, script);
  });
  return loading;
}

// A moment as fine as its neighbours are apart, in the viewer's zone.
function momentOf(moment, apart) {
  const [date, time] = new Date(moment * 1000).toLocaleString("sv").split(" ");
  if (apart >= DAY) return date;
  return apart >= MINUTE ? time.slice(0, 5) : time;
}

// Airflow's colours as they are in this moment, light or dark.
function coloursOf(element) {
  const styles = getComputedStyle(element);
  const colour = (name, otherwise) => styles.getPropertyValue(`--chakra-colors-${name}`).trim() || otherwise;
  return {
    text: colour("fg-muted", styles.color),
    grid: colour("border-subtle", "rgba(128,128,128,0.3)"),
    of: (name, at) => colour(`${name ?? COLOURS[at % COLOURS.length]}-solid`, styles.color),
  };
}

// How often it changed between light and dark: what is drawn on a canvas does not change by itself.
function useScheme() {
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    const observer = new MutationObserver(() => setChanges((last) => last + 1));
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["class", "data-theme"] });
    return () => observer.disconnect();
  }, []);
  return changes;
}

function optionsOf(element, series, height, say) {
  const { text, grid, of } = coloursOf(element);
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  const value = (_, number) => (number === null || number === undefined ? "–" : say(number));
  return {
    width: element.clientWidth || 300,
    height,
    cursor: { drag: { x: false, y: false } },
    axes: [
      { ...axis, values: (_, moments, __, ___, apart) => moments.map((moment) => momentOf(moment, apart)) },
      { ...axis, size: 64, values: (_, numbers) => numbers.map(say) },
    ],
    scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 1, 1e-9)] } },
    series: [
      { label: "at", value: (_, moment) => (moment === null ? "–" : momentOf(moment, 1)) },
      ...series.map((one, at) => ({
        label: one.label,
        stroke: of(one.colour, at),
        dash: DASHES[at % DASHES.length],
        width: 2,
        points: { show: false },
        value,
      })),
    ],
  };
}

// at: moments, rising, as Airflow writes them. series: [{label, values, colour}], a value (or null) a moment; colour is
// one of Chakra's ("blue"). say: a number in words. label: what it shows, for who does not see it.
export function Chart({ at, series, label, height = 180, say = String }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [failed, setFailed] = useState(false);
  const scheme = useScheme();
  const shape = JSON.stringify([series.map(({ label, colour }) => [label, colour]), height]);
  const data = [at.map((moment) => new Date(moment) / 1000), ...series.map(({ values }) => values)];
  const newest = useRef(data);
  newest.current = data;

  useEffect(() => {
    let gone = false;
    let observer = null;
    uPlotOnce().then(
      (uPlot) => {
        if (gone) return;
        plot.current = new uPlot(optionsOf(box.current, series, height, say), newest.current, box.current);
        observer = new ResizeObserver(() => {
          const width = box.current?.clientWidth;
          if (width && width !== plot.current?.width) plot.current?.setSize({ width, height });
        });
        observer.observe(box.current);
      },
      () => gone || setFailed(true),
    );
    return () => {
      gone = true;
      observer?.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, scheme]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [JSON.stringify(data)]);

  if (failed) return html`<${Text} color="fg.muted">The chart could not be loaded; the table has its numbers.<//>`;
  return html`<${Box} ref=${box} role="img" aria-label=${label} w="100%" minH=${`${height}px`} overflow="hidden" />`;
}
