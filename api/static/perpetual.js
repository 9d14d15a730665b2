// What everybody sees of a perpetual market: mark, index, funding, open interest, liquidations.

import { clock, decimals, element, pad, setText, show } from "/static/format.js";

const KEPT = 7; // liquidations that are shown
const ASK_AGAIN_MS = 60_000; // so that the countdown follows the exchange's clock, not ours
const STATES = {
  guarded: "Guarded: limit orders only, in half the price band, until the mark is fresh and calm",
  reduce_only: "Reduce-only: orders may only close positions",
  halted: "Halted: orders can be cancelled, nothing trades",
  settlement: "In final settlement: nothing trades any more",
};
const HOW = { book: "sold in the book", takeover: "taken by the fund", deleveraged: "deleveraged" };

export class Perpetual {
  constructor() {
    this.market = null;
    this.reset();
    setInterval(() => this.countdown(), 1000);
    setInterval(() => this.ask(), ASK_AGAIN_MS);
  }

  reset() {
    this.now = null; // mark, index, open interest
    this.funding = null; // the last rate, and when the next is due by our clock
    this.liquidations = [];
    this.drawn = "";
  }

  select(market) {
    this.market = market.kind === "perpetual" ? market : null;
    this.reset();
    for (const shown of document.querySelectorAll(".of-perpetual")) shown.hidden = !this.market;
    for (const id of ["mark", "index", "funding", "countdown", "open-interest"]) setText(id, "–");
    this.ask();
  }

  // Asks for what the feed does not tell a newcomer: the rate, and how long until the next.
  async ask() {
    const wanted = this.market;
    if (!wanted) return;
    try {
      const answer = await fetch(`/v1/funding?symbol=${encodeURIComponent(wanted.symbol)}&limit=1`);
      if (!answer.ok || this.market !== wanted) return;
      const { now } = await answer.json();
      this.now ??= now;
      const due = Date.now() + now.seconds_left * 1000;
      this.funding = { rate: now.last_rate_ppm, seen: now.last_funding_us > 0, due };
      this.draw();
    } catch {
      // The next question may go better.
    }
  }

  take(message) {
    if (!this.market) return;
    if (message.channel === "mark" && message.mark) this.now = message.mark;
    if (message.channel === "funding" && message.type === "update") this.ask();
    if (message.channel === "liquidations") {
      if (message.type === "snapshot") this.liquidations = [];
      this.liquidations = [...message.liquidations].reverse().concat(this.liquidations).slice(0, KEPT);
    }
  }

  draw() {
    if (!this.market || !this.now) return;
    const places = decimals(this.market.tick_size);
    const told = (price) => (price ? pad(price, places) : "–");
    setText("mark", told(this.now.mark_price));
    setText("index", told(this.now.index_price));
    document.getElementById("mark").classList.toggle("stale", !this.now.mark_is_fresh);
    setText("mark-stale", this.now.mark_is_fresh ? "" : "stale: nobody is liquidated");
    setText("open-interest", `${this.now.open_interest} ${this.market.base}`);
    const state = document.getElementById("phase");
    state.hidden = this.now.state === "open";
    state.title = STATES[this.now.state] ?? "";
    setText("phase", this.now.state.replace("_", "-"));
    this.countdown();
    this.drawLiquidations();
  }

  countdown() {
    if (!this.market || !this.funding) return;
    setText("funding", this.funding.seen ? `${(this.funding.rate / 10_000).toFixed(4)} %` : "none yet");
    const left = Math.ceil((this.funding.due - Date.now()) / 1000);
    if (left <= 0) this.funding.due += this.market.perpetual.funding_interval_seconds * 1000;
    setText("countdown", timeLeft(Math.max(0, left)));
  }

  drawLiquidations() {
    const now = JSON.stringify(this.liquidations);
    if (now === this.drawn) return;
    this.drawn = now;
    const places = decimals(this.market.tick_size);
    document.getElementById("liquidations").replaceChildren(
      ...this.liquidations.map((one) => {
        const row = element("div", "", { class: "row", title: HOW[one.how] });
        row.append(
          element("span", `${one.side} ${one.quantity}`, { class: one.side === "long" ? "sell" : "buy" }),
          element("span", pad(one.price, places)),
          element("span", clock(one.time_us)),
        );
        return row;
      }),
    );
    show("liquidations-empty", !this.liquidations.length);
  }
}

function timeLeft(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return `${two(hours)}:${two(minutes)}:${two(seconds % 60)}`;
}
