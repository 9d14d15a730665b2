// The trades panel.

import { clock, decimals, element, pad, show } from "/static/format.js";

const LENGTH = 26;
const BESIDE_LIQUIDATIONS = 13; // in a perpetual market, where they stand below

export class Tape {
  constructor() {
    this.trades = [];
  }

  reset(trades) {
    this.trades = [];
    this.add(trades);
  }

  add(trades) {
    const known = new Set(this.trades.map((trade) => trade.trade_id));
    const fresh = trades.filter((trade) => !known.has(trade.trade_id));
    this.trades = [...fresh.reverse(), ...this.trades].slice(0, LENGTH);
  }

  draw(market) {
    const container = document.getElementById("trades");
    const places = { price: decimals(market.tick_size), quantity: decimals(market.lot_size) };
    const length = market.kind === "perpetual" ? BESIDE_LIQUIDATIONS : LENGTH;
    container.replaceChildren(
      ...this.trades.slice(0, length).map((trade) => {
        const row = element("div", "", { class: "row" });
        row.append(
          element("span", pad(trade.price, places.price), { class: trade.side }),
          element("span", pad(trade.quantity, places.quantity)),
          element("span", clock(trade.time_us)),
        );
        return row;
      }),
    );
    show("trades-empty", !this.trades.length);
  }
}
