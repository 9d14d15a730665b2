// The order book panel.

import { decimals, element, pad, setText, show } from "/static/format.js";

const DEPTH = 11;

export function drawBook(book, market) {
  const asks = book.side("asks", DEPTH);
  const bids = book.side("bids", DEPTH);
  const largest = Math.max(sum(asks), sum(bids), 1e-18);
  fill("asks", asks, market, largest);
  fill("bids", bids, market, largest);
  const isKnown = book.sequence >= 0;
  show("book-empty", isKnown && !asks.length && !bids.length);
  setText("book-sequence", isKnown ? `at ${book.sequence}` : "");
  const places = decimals(market.tick_size);
  if (asks.length && bids.length) {
    const spread = Number(asks[0][0]) - Number(bids[0][0]);
    const middle = (Number(asks[0][0]) + Number(bids[0][0])) / 2;
    setText("middle", middle.toFixed(places));
    setText("spread", `${spread.toFixed(places)} (${((spread / middle) * 100).toFixed(3)} %)`);
  } else {
    setText("middle", "–");
    setText("spread", "–");
  }
}

function sum(levels) {
  return levels.reduce((total, level) => total + Number(level[1]), 0);
}

function fill(id, levels, market, largest) {
  const container = document.getElementById(id);
  while (container.children.length > levels.length) container.lastChild.remove();
  while (container.children.length < levels.length) {
    const row = element("div", "", { class: "row" });
    row.append(element("span"), element("span"), element("span"));
    container.append(row);
  }
  const places = { price: decimals(market.tick_size), quantity: decimals(market.lot_size) };
  let total = 0;
  levels.forEach(([price, quantity], index) => {
    const row = container.children[index];
    total += Number(quantity);
    row.children[0].textContent = pad(price, places.price);
    row.children[1].textContent = pad(quantity, places.quantity);
    row.children[2].textContent = total.toFixed(Math.min(places.quantity, 4));
    row.style.setProperty("--share", `${((total / largest) * 100).toFixed(1)}%`);
  });
}
