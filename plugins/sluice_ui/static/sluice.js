// The page "Sluice" in Airflow's navigation. Rooms are paths below /plugin/sluice, filters are the query.

import { Boundary } from "./boundary.js";
import { Box, Flex, Heading, html, Link, Notice, ROOT, useEffect, useLocation, useNavigate, useRef } from "./kit.js";
import { Contracts } from "./rooms/contracts.js";
import { Feeds } from "./rooms/feeds.js";
import { Files } from "./rooms/files.js";
import { Land } from "./rooms/land.js";
import { Now } from "./rooms/now.js";
import { Quarantine } from "./rooms/quarantine.js";
import { Shop } from "./rooms/shop.js";

// The first part of the path names the room.
const ROOMS = [
  { path: "", title: "Now", room: Now },
  { path: "feeds", title: "Feeds", room: Feeds },
  { path: "files", title: "Files", room: Files },
  { path: "quarantine", title: "Quarantine", room: Quarantine },
  { path: "land", title: "Land a file", room: Land },
  { path: "shop", title: "Shop", room: Shop },
  { path: "contracts", title: "Contracts", room: Contracts },
];

function Rooms({ parts }) {
  const found = ROOMS.find((one) => one.path === (parts[0] ?? ""));
  if (!found) return html`<${Notice} title="There is no such room."><${Link} to=${ROOT}>To the first one<//><//>`;
  return html`<${found.room} parts=${parts.slice(1)} />`;
}

const Navigation = ({ current }) => html`
  <${Flex} as="nav" aria-label="Rooms of Sluice" gap=${4} wrap="wrap" borderBottomWidth="1px" pb=${2}>
    ${ROOMS.map(
      ({ path, title }) => html`<${Box} key=${path} fontWeight=${path === current ? "700" : "400"}>
        <${Link} to=${path ? `${ROOT}/${path}` : ROOT} aria-current=${path === current ? "page" : undefined}>${title}<//>
      <//>`,
    )}
  <//>`;

// Links are told from other words by more than their place; a moment is read at once, in one line.
const LOOKS = {
  "& a": { textDecoration: "underline", textDecorationThickness: "1px", textUnderlineOffset: "3px" },
  "& time": { whiteSpace: "nowrap" },
};

function Sluice() {
  const { pathname } = useLocation();
  const parts = pathname.split("/").slice(3).filter(Boolean);
  return html`<${Box} p=${4} overflowY="auto" h="100%" data-sluice="page" css=${LOOKS}>
    <${Heading} as="h1" size="lg" mb=${2}>Sluice<//>
    <${Navigation} current=${parts[0] ?? ""} />
    <${Boundary} key=${pathname}><${Rooms} parts=${parts} /><//>
  <//>`;
}

// Airflow shows a script that it has just loaded within React.lazy, and from its next render on the global of the plugin's
// name in its place: what stood there goes, with the focus, a file's verdict, a text half typed. So the first one shows
// nothing; it puts the page into the global and has Airflow render again by going to where it is.
function First() {
  const { key, pathname, search, hash, state } = useLocation();
  const navigate = useNavigate();
  const begun = useRef(key);
  useEffect(() => {
    globalThis.Sluice = Sluice;
    navigate({ pathname, search, hash }, { replace: true, state });
  }, []);
  return key === begun.current ? null : html`<${Sluice} />`; // still here then: this Airflow shows what it loaded
}

globalThis.AirflowPlugin = First;
globalThis.Sluice = First;
