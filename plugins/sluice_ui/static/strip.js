// A line on the pages of DAG ingest_events. It stands on every page of Airflow: elsewhere it shows, and asks, nothing.

import { Boundary } from "./boundary.js";
import { Box, html, useLocation } from "./kit.js";
import { Line } from "./line.js";

const WHERE = /^\/dags\/ingest_events(\/|$)/;

function SluiceStrip() {
  const { pathname } = useLocation();
  if (!WHERE.test(pathname)) return null;
  return html`<${Box} data-sluice="strip" role="region" aria-label="Sluice" px=${2} py=${1} mb=${2} borderBottomWidth="1px" fontSize="sm">
    <${Boundary} title="Sluice's line failed."><${Line} /><//>
  <//>`;
}

globalThis.AirflowPlugin = SluiceStrip;
globalThis.SluiceStrip = SluiceStrip;
