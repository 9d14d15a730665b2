// What the order in the ticket would do, asked of the exchange while it is being written.

import { setText } from "/static/format.js";

const WAIT_MS = 350;
let waiting = null;
let asked = 0;

// Asks `send(order)` for a dry run a moment after the last change; `order()` null: nothing to ask.
export function previewSoon(order, send, market) {
  clearTimeout(waiting);
  asked += 1;
  if (!order()) {
    setText("preview", "");
    return;
  }
  const number = asked;
  waiting = setTimeout(async () => {
    const text = await told(order, send, market());
    if (number === asked) setText("preview", text);
  }, WAIT_MS);
}

async function told(order, send, market) {
  try {
    const { margin } = await send(order());
    if (!margin) return "";
    const was = margin.previous_liquidation_price;
    const end = (margin.liquidation_price ? `liquidation at ${margin.liquidation_price}` : "no liquidation price") +
      (was && was !== margin.liquidation_price ? ` (now ${was})` : "");
    const whole = `${margin.quantity} ${market.base} at ${margin.price}`;
    return `${whole} → position ${margin.position}, initial margin ${margin.initial_margin} ${market.quote}, ` +
      `${end}, fee at most ${margin.fee}.`;
  } catch (error) {
    return error.message ? `Would be refused: ${error.message}` : "";
  }
}
