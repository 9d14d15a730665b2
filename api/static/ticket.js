// The order ticket: which fields a kind of order has, and the request that they make.

import { previewSoon } from "/static/preview.js";

const form = document.getElementById("ticket");
const field = (name) => form.elements.namedItem(name);
let isPerpetual = () => false; // whether the market on the page is one

// Which fields are asked for; what is hidden is not sent.
const type = () => field("type").value;
const isLimit = () => type().endsWith("limit");
const isPair = () => type() === "oco"; // a limit order and a stop, of which one ends the other
const isBracket = () => type() === "bracket"; // an entry, and what closes it again
const isList = () => isPair() || isBracket();
const SHOWN = {
  price: () => isLimit() || isList(),
  trigger_price: () => !["limit", "market", "trailing_stop"].includes(type()),
  trigger_source: () => isPerpetual() && !["limit", "market"].includes(type()),
  take_profit: isBracket,
  stop_limit: isList,
  trailing_offset: () => type() === "trailing_stop",
  quantity: () => !field("quote_amount").value || !SHOWN.quote_amount(),
  quote_amount: () =>
    type() === "market" && field("side").value === "buy" && !field("quantity").value && !isPerpetual(),
  until: () => field("time_in_force").value === "gtd",
  display_quantity: isLimit,
  post_only: isLimit,
  reduce_only: () => isPerpetual() && !isBracket(),
};

const NEEDED = ["price", "trigger_price", "trailing_offset", "until"];

const AMOUNTS = [
  "price", "quantity", "quote_amount", "display_quantity", "trigger_price", "trailing_offset",
];

// Show the fields that the order, and the market on the page, may have.
export function arrange() {
  const [first, ...others] = isList() ? ["gtc", "gtd"] : isLimit() ? ["gtc", "gtd", "ioc", "fok"]
    : type() === "market" ? ["ioc", "fok"]
    : ["gtc", "gtd"];
  for (const option of field("time_in_force").options) {
    option.disabled = option.hidden = ![first, ...others].includes(option.value);
  }
  if (field("time_in_force").selectedOptions[0]?.disabled) field("time_in_force").value = first;
  for (const [name, isShown] of Object.entries(SHOWN)) {
    field(name).closest("label").hidden = !isShown();
    field(name).required = NEEDED.includes(name) && isShown() && !(isBracket() && name !== "until");
  }
  field("price").placeholder = isBracket() ? "at the market" : "";
}

const filled = (name) => field(name).value.trim() || undefined;

function list(symbol) {
  const orders = { symbol, side: field("side").value, quantity: filled("quantity") };
  return { ...orders, ...(isPair() ? pair() : bracket()) };
}

// An OCO: the price is its limit order's, the trigger its stop's.
function pair() {
  return {
    take_profit: { price: filled("price") },
    stop_loss: stop(),
    time_in_force: field("time_in_force").value,
    expires_at_us: until(),
    reduce_only: (isPerpetual() && field("reduce_only").checked) || undefined,
  };
}

// A bracket: the price and the time are its entry's, the trigger its stop's.
function bracket() {
  const entry = { price: filled("price"), expires_at_us: until() };
  if (entry.price) entry.time_in_force = field("time_in_force").value;
  return {
    kind: "bracket",
    entry,
    take_profit: filled("take_profit") && { price: filled("take_profit") },
    stop_loss: filled("trigger_price") && stop(),
  };
}

function stop() {
  return { trigger_price: filled("trigger_price"), trigger_source: source(), price: filled("stop_limit") };
}

const source = () => (SHOWN.trigger_source() ? field("trigger_source").value : undefined);

function until() {
  return SHOWN.until() ? new Date(field("until").value).getTime() * 1000 || 0 : undefined;
}

function request(symbol) {
  const order = { symbol };
  for (const name of ["side", "type", "time_in_force"]) order[name] = field(name).value;
  for (const name of AMOUNTS) {
    if (SHOWN[name]() && field(name).value.trim()) order[name] = field(name).value.trim();
  }
  order.trigger_source = source();
  order.expires_at_us = until();
  for (const name of ["post_only", "reduce_only"]) {
    if (SHOWN[name]() && field(name).checked) order[name] = true;
  }
  return order;
}

// One order a wish: neither a double click, nor a key held down, nor haste makes a second one.
function onceEach(send) {
  let sending = false;
  form.addEventListener("click", (event) => {
    if (event.detail > 1 && event.target.matches("button")) event.preventDefault();
  });
  form.addEventListener("keydown", (event) => {
    if (event.repeat && event.key === "Enter") event.preventDefault();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    sending = true;
    await send().finally(() => (sending = false));
  });
}

// The one order of a whole ticket in a perpetual market, whose margin may be asked about.
function previewed(market) {
  const isWhole = isPerpetual() && !isList() && field("quantity").value.trim() && form.checkValidity();
  return isWhole ? request(market.symbol) : null;
}

// Calls `place(order)` or `placeList(orders)` when the ticket is sent, for the market on the page,
// and `preview(order)` while it is being written.
export function openTicket(market, place, placeList, preview) {
  isPerpetual = () => market()?.kind === "perpetual";
  form.addEventListener("input", () => {
    arrange();
    previewSoon(() => previewed(market()), preview, market);
  });
  onceEach(async () => {
    if (isList()) await placeList(list(market().symbol));
    else await place(request(market().symbol));
  });
  for (const side of ["asks", "bids"]) {
    document.getElementById(side).addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) field("price").value = row.firstElementChild.textContent;
    });
  }
  arrange();
}
