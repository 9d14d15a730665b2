// The customer's positions with what backs them: margin, lights, warnings, and ways out.

import { element, setText, show } from "/static/format.js";

const LIGHTS = 5;
const CALL_PPM = 800_000; // a margin ratio from which the bar is red
const WARN_PPM = 500_000;
const CONFIRM_MS = 4000;
let drawn = ""; // the rows that are shown, as text
let called = ""; // the notices that are shown, as text
let confirming = null; // the market whose close button asks once more

// Draws positions of all markets, and the margin of the shown one; `desk` sends requests:
// `look()` returns /v1/positions, `close(position)`, `choose(path, body)` and `market()`.
export class Positions {
  constructor(desk) {
    this.desk = desk;
    this.answer = null;
    this.choices = document.getElementById("margin-choices");
    const { leverage, mode, amount } = this.choices.elements;
    leverage.addEventListener("input", () => setText("leverage-told", `${leverage.value}×`));
    leverage.addEventListener("change", () => this.choose("leverage", { leverage: Number(leverage.value) }));
    mode.addEventListener("change", () => this.choose("margin-mode", { mode: mode.value }));
    this.choices.addEventListener("submit", (event) => {
      event.preventDefault();
      if (amount.value.trim()) this.move(event.submitter?.value ?? "in", amount);
    });
  }

  async look() {
    this.answer = await this.desk.look();
    this.draw();
  }

  draw() {
    if (!this.answer) return;
    const market = this.desk.market();
    const open = this.answer.positions.filter((one) => one.quantity !== "0");
    const isPerpetual = market?.kind === "perpetual";
    show("positions-panel", isPerpetual || open.length);
    this.drawNotices(open);
    this.drawBacking(market, open);
    show("margin-choices", isPerpetual);
    if (isPerpetual) this.drawChoices(market);
    const now = JSON.stringify([confirming, open.map((one) => ({ ...one, sequence: 0 }))]);
    if (now === drawn) return; // rows that stay keep the keyboard's focus
    drawn = now;
    const focused = document.activeElement?.dataset?.close;
    document.getElementById("positions").replaceChildren(...open.map((one) => this.row(one)));
    if (focused) document.querySelector(`[data-close="${CSS.escape(focused)}"]`)?.focus();
    show("positions-table", open.length);
    show("positions-empty", !open.length);
  }

  // Warnings are said once: a notice that stays is not read out again.
  drawNotices(open) {
    const notices = [];
    for (const one of this.answer.cross.filter((found) => found.liquidating || found.margin_call)) {
      notices.push(notice("Your cross margin", one));
    }
    for (const one of open.filter((found) => found.mode === "isolated")) {
      if (one.liquidating || one.margin_call) notices.push(notice(`Your ${one.symbol} position`, one));
    }
    if (notices.join() === called) return;
    called = notices.join();
    document.getElementById("margin-notices").replaceChildren(
      ...notices.map((text) => element("p", text)),
    );
  }

  drawBacking(market, open) {
    const found = this.answer.cross.find((one) => one.shard === market?.shard) ?? this.answer.cross[0];
    show("backing", found);
    if (!found) return;
    setText("margin-equity", `${amount(found.equity)} ${found.asset}`);
    setText("margin-required", amount(found.required_margin));
    setText("margin-maintenance", amount(found.maintenance_margin));
    setText("margin-available", amount(found.available));
    setText("margin-withdrawable", amount(found.withdrawable));
    document.getElementById("margin-ratio").replaceChildren(
      open.some((one) => one.mode === "cross") ? ratio(found.margin_ratio_ppm) : "–",
    );
  }

  drawChoices(market) {
    const { leverage, mode } = this.choices.elements;
    const held = this.answer.positions.find((one) => one.symbol === market.symbol);
    leverage.max = market.perpetual.max_leverage;
    if (document.activeElement !== leverage) {
      leverage.value = held?.leverage ?? 1;
      setText("leverage-told", `${leverage.value}×`);
    }
    if (document.activeElement !== mode) mode.value = held?.mode ?? "cross";
    const isIsolated = held?.mode === "isolated";
    show("margin-move", isIsolated);
    setText("margin-own", isIsolated ? `The position's own cash: ${held.margin} ${market.quote}` : "");
  }

  async choose(path, body) {
    await this.desk.choose(path, { symbol: this.desk.market().symbol, ...body });
    document.activeElement?.blur?.();
    this.draw();
  }

  async move(direction, field) {
    const body = {
      direction,
      amount: field.value.trim(),
      move_id: crypto.randomUUID(),
      created_at_us: Date.now() * 1000,
    };
    const isMoved = await this.desk.choose("margin", { symbol: this.desk.market().symbol, ...body });
    if (isMoved && field.value.trim() === body.amount) field.value = ""; // else the next one is being typed
  }

  row(one) {
    const made = element("tr", "", { "data-symbol": one.symbol });
    const isShort = one.quantity.startsWith("-");
    const side = element("td", "", { "data-label": "Market" });
    side.append(one.symbol, element("small", `${one.mode} ${one.leverage}×`));
    const profit = element("td", "", { class: "number", "data-label": "Profit" });
    profit.append(signed(one.unrealised_profit));
    if (one.realised_profit !== null) profit.append(element("small", `${money(one.realised_profit)} realised`));
    const margin = element("td", "", { class: "number", "data-label": "Margin ratio" });
    margin.append(ratio(one.margin_ratio_ppm));
    const lit = element("td", "", { "data-label": "ADL lights" });
    lit.append(lamps(one.adl_lights));
    const actions = element("td", "", { class: "actions" });
    actions.append(one.liquidating ? element("em", "in liquidation") : this.closeButton(one));
    const liquidation = element("td", one.liquidation_price ?? "–", { class: "number", "data-label": "Liquidation" });
    if (one.bankruptcy_price) liquidation.append(element("small", `bankrupt at ${one.bankruptcy_price}`));
    made.append(
      side,
      element("td", `${isShort ? "short" : "long"} ${one.quantity.replace("-", "")}`, {
        class: `number ${isShort ? "sell" : "buy"}`, "data-label": "Position",
      }),
      element("td", one.entry_price ?? "–", { class: "number", "data-label": "Entry" }),
      element("td", one.mark_price ?? "–", { class: "number", "data-label": "Mark" }),
      profit, margin, liquidation, lit, actions,
    );
    return made;
  }

  // Closing takes two presses: the second, on the same button, within four seconds.
  closeButton(one) {
    const asks = confirming === one.symbol;
    const words = asks ? "Close at the market?" : "Close";
    const made = element("button", words, { type: "button", "data-close": one.symbol, "aria-label": `${words} ${one.symbol}` });
    if (asks) made.classList.add("asks");
    made.addEventListener("click", (event) => {
      if (event.detail > 1) return;
      if (confirming === one.symbol) {
        confirming = null;
        this.desk.close(one);
        return;
      }
      confirming = one.symbol;
      setTimeout(() => {
        if (confirming === one.symbol) confirming = null;
        this.draw();
      }, CONFIRM_MS);
      this.draw();
    });
    return made;
  }
}

function notice(whose, one) {
  if (one.liquidating) return `${whose} is being liquidated. Its orders are cancelled; its positions are closed step by step.`;
  return `Margin call: ${whose.toLowerCase()} has a margin ratio of ${percent(one.margin_ratio_ppm)}. ` +
    "It is liquidated above 100 %: add cash, or close a part.";
}

const percent = (ppm) => (ppm === null ? "more than 100 %" : `${(ppm / 10_000).toFixed(2)} %`);

// A ratio as a number with a bar; it is maintenance margin / equity, so a full bar is the end.
function ratio(ppm) {
  const made = element("span", "", { class: "ratio" });
  const level = ppm === null || ppm >= CALL_PPM ? "high" : ppm >= WARN_PPM ? "middle" : "low";
  const bar = element("i", "", { "aria-hidden": "true", "data-level": level });
  bar.style.setProperty("--share", `${Math.min(100, (ppm ?? 1e6) / 10_000)}%`);
  made.append(percent(ppm), bar);
  return made;
}

// Five lamps, lit from the left: how near the position is to being deleveraged.
function lamps(lit) {
  if (lit === null) return element("span", "–", { title: "not known now" });
  const told = `${lit} of ${LIGHTS} lights: how near to being deleveraged`;
  const made = element("span", "", { class: "lamps", role: "img", "aria-label": told, title: told });
  for (let number = 1; number <= LIGHTS; number += 1) {
    made.append(element("i", "", number <= lit ? { class: "lit" } : {}));
  }
  made.dataset.lit = lit;
  return made;
}

// Amounts stay text; only their third and later decimals are cut off for the eye.
function money(text) {
  const [whole, fraction = ""] = text.split(".");
  return fraction.length > 2 ? `${whole}.${fraction.slice(0, 2)}` : text;
}

function amount(text) {
  const [whole, ...rest] = money(text).split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, " "), ...rest].join(".");
}

function signed(text) {
  const isLoss = text.startsWith("-");
  const sign = isLoss || text === "0" ? "" : "+";
  return element("span", `${sign}${money(text)}`, { class: isLoss ? "sell" : text === "0" ? "" : "buy", title: text });
}
