// A card on Airflow's first page.

import { Boundary } from "./boundary.js";
import { Box, html } from "./kit.js";
import { Line } from "./line.js";

const SluiceCard = () => html`<${Box}
  data-sluice="card"
  role="region"
  aria-label="Sluice"
  order=${4}
  borderWidth="1px"
  borderRadius="md"
  px=${4}
  py=${3}
>
  <${Boundary} title="Sluice's card failed."><${Line} /><//>
<//>`;

globalThis.AirflowPlugin = SluiceCard;
globalThis.SluiceCard = SluiceCard;
