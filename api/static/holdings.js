// What the customer has of the shown market's two assets, and the latest own fills in it.

import { clock, element, setText, show } from "/static/format.js";

const LATEST = 10;
let drawn = ""; // the fills that are shown, as text

export async function drawHoldings(account, market) {
  const symbol = market.symbol.replace("/", "-");
  const [{ balances }, { fills }] = await Promise.all([
    account.send("GET", "/v1/balances"),
    account.send("GET", `/v1/fills?symbol=${symbol}&limit=${LATEST}`),
  ]);
  const held = (asset) => balances.find((balance) => balance.asset === asset);
  setText("balances", [market.base, market.quote].map((asset) => told(asset, held(asset))).join(" · "));
  const now = JSON.stringify([symbol, fills]);
  if (now === drawn) return;
  drawn = now;
  document.getElementById("fills").replaceChildren(...fills.map(row));
  show("fills-area", fills.length);
}

function told(asset, balance) {
  if (!balance) return `No ${asset}`;
  const held = balance.in_orders === "0" ? "" : `, ${balance.in_orders} in orders`;
  const leaves = balance.withdrawable === balance.available ? "" : `, ${balance.withdrawable} withdrawable`;
  return `${balance.available} ${asset} free${leaves}${held}`;
}

function row(fill) {
  const made = element("tr", "", { "data-trade": fill.trade_id });
  made.append(
    element("td", `${fill.side} as ${fill.role}`, { class: fill.side }),
    element("td", fill.price, { class: "number", "data-label": "Price" }),
    element("td", fill.quantity, { class: "number", "data-label": "Quantity" }),
    element("td", `${fill.fee} ${fill.fee_asset}`, { class: "number", "data-label": "Fee" }),
    element("td", clock(fill.time_us), { "data-label": "Time" }),
    element("td", fill.order_id, { "data-label": "Order" }),
  );
  return made;
}
