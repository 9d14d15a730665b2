// The market page: one feed, three panels, redrawn at most once a frame.

import { drawBook } from "/static/book.js";
import { Chart } from "/static/chart.js";
import { Feed } from "/static/feed.js";
import { decimals, element, pad, setText } from "/static/format.js";
import { selectMarket, watchOrders } from "/static/orders.js";
import { Perpetual } from "/static/perpetual.js";
import { watchSystem } from "/static/system.js";
import { Tape } from "/static/tape.js";

const chart = new Chart(document.getElementById("chart"));
const tape = new Tape();
const perpetual = new Perpetual();
let markets = [];
let market = null;
let isDrawing = false;
const MARKETS_MS = 5000;

const scheme = location.protocol === "https:" ? "wss" : "ws";
const feed = new Feed(`${scheme}://${location.host}/v1/ws`, {
  onState(state) {
    const badge = document.getElementById("connection");
    badge.dataset.state = state;
    badge.textContent = state;
    if (state === "live" && market) loadCandles();
  },
  onMessage(message) {
    if (message.channel === "trades") {
      if (message.type === "snapshot") tape.reset(message.trades);
      else tape.add(message.trades);
    }
    if (message.channel === "candles" && message.candle) chart.update(message.candle);
    perpetual.take(message);
    redraw();
  },
});

function redraw() {
  if (isDrawing || !market) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawBook(feed.book, market);
    tape.draw(market);
    chart.draw(market);
    drawHeadline();
    perpetual.draw();
  });
}

function drawHeadline() {
  const places = decimals(market.tick_size);
  const candles = chart.list();
  const last = tape.trades[0]?.price ?? candles.at(-1)?.close;
  setText("last-price", last ? pad(last, places) : "–");
  document.title = last ? `${pad(last, places)} ${market.symbol} · Rialto` : "Rialto";
  if (!candles.length) {
    for (const id of ["change", "high", "low", "volume"]) setText(id, "–");
    return;
  }
  const first = Number(candles[0].open);
  const change = ((Number(last) - first) / first) * 100;
  const shown = document.getElementById("change");
  shown.textContent = `${change >= 0 ? "+" : ""}${change.toFixed(2)} %`;
  shown.className = change >= 0 ? "buy" : "sell";
  setText("high", Math.max(...candles.map((candle) => Number(candle.high))).toFixed(places));
  setText("low", Math.min(...candles.map((candle) => Number(candle.low))).toFixed(places));
  const volume = candles.reduce((total, candle) => total + Number(candle.volume), 0);
  setText("volume", `${volume.toFixed(2)} ${market.base}`);
}

async function loadCandles() {
  const wanted = market;
  try {
    const answer = await fetch(`/v1/markets/${wanted.symbol.replace("/", "-")}/candles?limit=120`);
    if (!answer.ok || market !== wanted) return;
    chart.reset((await answer.json()).candles);
    redraw();
  } catch {
    // The feed's reconnect loads them again.
  }
}

function select(chosen) {
  market = chosen;
  for (const button of document.getElementById("markets").children) {
    button.setAttribute("aria-pressed", String(button.textContent === market.symbol));
  }
  setText("symbol", market.symbol);
  history.replaceState(null, "", `#${market.symbol.replace("/", "-")}`);
  chart.reset([]);
  tape.reset([]);
  perpetual.select(market);
  feed.select(market);
  selectMarket(market);
  loadCandles();
  redraw();
}

async function start() {
  try {
    markets = (await (await fetch("/v1/markets")).json()).markets;
  } catch {
    setTimeout(start, 1000);
    return;
  }
  if (!markets.length) {
    setText("symbol", "No market is listed yet");
    setTimeout(start, 2000);
    return;
  }
  const wanted = location.hash.slice(1).replace("-", "/");
  const chosen = markets.find((listed) => listed.symbol === wanted) ?? markets[0];
  drawMarkets(chosen);
  select(chosen);
  setInterval(lookForMarkets, MARKETS_MS);
}

// A delisted market has a button only while it is the one that is shown: its history stays.
function drawMarkets(shown) {
  document.getElementById("markets").replaceChildren(
    ...markets
      .filter((listed) => listed.state !== "delisted" || listed.symbol === shown.symbol)
      .map((listed) => {
        const pressed = String(listed.symbol === shown.symbol);
        const button = element("button", listed.symbol, { type: "button", "aria-pressed": pressed });
        button.addEventListener("click", () => select(listed));
        return button;
      }),
  );
}

// Markets are listed, changed and delisted while the page is open.
async function lookForMarkets() {
  try {
    const answer = await fetch("/v1/markets");
    if (!answer.ok) return;
    const before = markets.map((listed) => listed.symbol + listed.state).join();
    markets = (await answer.json()).markets;
    if (markets.map((listed) => listed.symbol + listed.state).join() !== before) drawMarkets(market);
  } catch {
    // The next look may go better.
  }
}

start();
watchOrders((account, onAccount) => feed.follow(account, onAccount));
watchSystem();
