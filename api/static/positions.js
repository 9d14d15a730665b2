// A perpetual market's mark and funding countdown, and the customer's positions with their lights.

import { element, setText, show } from "/static/format.js";

const LIGHTS = 5;
let funding = null; // what the exchange said, and when this page heard it
let heardAt = 0;
let drawn = ""; // the positions that are shown, as text

// Ask for mark and funding of the shown market; a spot market has none.
export async function lookAtFunding(market) {
  show("perpetual", market.kind === "perpetual");
  if (market.kind !== "perpetual") return;
  const symbol = encodeURIComponent(market.symbol);
  const answer = await fetch(`/v1/funding?symbol=${symbol}&limit=1`);
  if (!answer.ok) return;
  funding = (await answer.json()).now;
  heardAt = Date.now();
  drawFunding();
}

export function drawFunding() {
  if (!funding) return;
  const stale = funding.mark_is_fresh ? "" : " (stale)";
  const state = funding.state === "open" ? "" : ` · ${funding.state.replace("_", " ")}`;
  setText("mark", `Mark ${funding.mark_price ?? "–"}${stale} · index ${funding.index_price ?? "–"}${state}`);
  const passed = Math.floor((Date.now() - heardAt) / 1000);
  const left = Math.max(0, funding.seconds_left - passed);
  const rate = (funding.last_rate_ppm / 10_000).toFixed(4);
  setText("funding", `Last funding ${rate} % · next in ${countdown(left)}`);
}

// List the customer's open positions in all markets.
export async function drawPositions(account) {
  const { positions } = await account.send("GET", "/v1/positions");
  const open = positions.filter((one) => one.quantity !== "0");
  show("positions-area", open.length);
  const now = JSON.stringify(open.map((one) => ({ ...one, sequence: 0 })));
  if (now === drawn) return;
  drawn = now;
  document.getElementById("positions").replaceChildren(...open.map(row));
}

function row(one) {
  const made = element("tr", "", { "data-symbol": one.symbol });
  const side = one.quantity.startsWith("-") ? "sell" : "buy";
  const mode = `${one.mode} ${one.leverage}×${one.liquidating ? ", in liquidation" : ""}`;
  const ratio = one.margin_ratio_ppm === null ? "–" : `${(one.margin_ratio_ppm / 10_000).toFixed(2)} %`;
  made.append(
    element("td", one.symbol, { "data-label": "Market" }),
    element("td", one.quantity, { class: `number ${side}`, "data-label": "Quantity" }),
    element("td", one.entry_price ?? "–", { class: "number", "data-label": "Entry" }),
    element("td", one.mark_price ?? "–", { class: "number", "data-label": "Mark" }),
    element("td", one.unrealised_profit, { class: "number", "data-label": "Profit" }),
    element("td", ratio, { class: "number", "data-label": "Margin ratio" }),
    element("td", one.liquidation_price ?? "–", { class: "number", "data-label": "Liquidation" }),
    element("td", lights(one.adl_lights), { "data-label": "Lights", "aria-label": told(one.adl_lights) }),
    element("td", mode, { "data-label": "Margin" }),
  );
  return made;
}

function lights(lit) {
  return lit === null ? "–" : "●".repeat(lit) + "○".repeat(LIGHTS - lit);
}

function told(lit) {
  return lit === null ? "not known now" : `${lit} of ${LIGHTS} lights: how near to being deleveraged`;
}

function countdown(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const two = (number) => String(number).padStart(2, "0");
  return `${two(hours)}:${two(minutes)}:${two(seconds % 60)}`;
}
