// What the customer pays in the shown market, and how far the next tier is.

import { setText } from "/static/format.js";

const percent = (ppm) => `${ppm / 10_000} %`;

let known = null;

// Asks for the account's fees; a refusal leaves what was shown.
export async function loadFees(account) {
  known = await account.send("GET", "/v1/fees");
}

export function drawFees(symbol) {
  const here = known?.markets.find((market) => market.symbol === symbol);
  if (!here) {
    setText("fees", "");
    return;
  }
  const next = known.tiers[known.tier + 1];
  const parts = [
    `Fee tier ${here.tier}: maker ${percent(here.maker_fee_ppm)}, taker ${percent(here.taker_fee_ppm)}`,
    `${known.window_days}-day volume ${known.volume} ${known.volume_asset}` +
      (known.as_of ? ` as of ${known.as_of}` : ""),
  ];
  if (next) parts.push(`tier ${next.tier} from ${next.from_volume}`);
  setText("fees", parts.join(" · "));
}
