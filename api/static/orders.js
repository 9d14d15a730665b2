// Your orders: signed in with an API key or in a session, listed with their terms, amended and cancelled.

import { Account, wordsOf } from "/static/account.js";
import { drawFees, loadFees } from "/static/fees.js";
import { element, setText, show } from "/static/format.js";
import { drawHoldings } from "/static/holdings.js";
import { filled, status, terms, told } from "/static/order-words.js";
import { watchInvitation } from "/static/invitation.js";
import { Positions } from "/static/positions.js";
import { openSecurity } from "/static/security.js";
import { linked, resumed, signIn as signInAs } from "/static/session.js";
import { arrange, openTicket } from "/static/ticket.js";
import { openWithdrawals } from "/static/withdrawals.js";

const EVERY_MS = 2000;
const SOON_MS = 100;
let soon = null;
let account = null;
let market = null;
let tellShown = null;
const marketShown = new Promise((resolve) => { tellShown = resolve; });
let amending = null; // the id of the order whose row has inputs
let drawn = ""; // what the table shows, as text
const positions = new Positions({
  market: () => market,
  look: () => account.send("GET", "/v1/positions"),
  close: closePosition,
  choose: (path, body) => act(() => account.send("POST", `/v1/${path}`, body)),
});

export function selectMarket(chosen) {
  market = chosen;
  tellShown();
  drawFees(market.symbol);
  arrange();
  positions.draw();
  refresh();
}

// `follow(account, heard)` has `heard` called with what happens to the account, as it happens.
export function watchOrders(follow) {
  const signIn = document.getElementById("sign-in");
  signIn.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { key, secret } = Object.fromEntries(new FormData(signIn));
    if (await begin(new Account(key.trim(), secret.trim()), follow)) signIn.reset();
  });
  const sessionIn = document.getElementById("session-in");
  sessionIn.addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, password, code } = Object.fromEntries(new FormData(sessionIn));
    attempt(async () => {
      await beginSession(await signInAs(name.trim(), password, code.trim()), follow);
      sessionIn.reset();
    });
  });
  watchInvitation();
  attempt(async () => {
    const session = (await linked()) ?? (await resumed());
    if (session) await beginSession(session, follow);
  });
  document.getElementById("closed-too").addEventListener("change", refresh);
  document.getElementById("cancel-all").addEventListener("click", cancelAll);
  openTicket(() => market, place, placeList, preview);
  setInterval(refresh, EVERY_MS);
}

async function beginSession(session, follow) {
  if (await begin(session, follow)) openSecurity(session);
}

// Show what is an account's; returns false, and shows nothing, when its first look is refused.
async function begin(wanted, follow) {
  await marketShown; // whoever is quicker than the list of markets waits for it
  account = wanted;
  if (!(await attempt(look))) {
    account = null;
    return false;
  }
  for (const id of ["sign-in", "session-in", "invited"]) show(id, false);
  show("desk", true);
  openWithdrawals(account);
  follow(account, refreshSoon);
  if (await attempt(() => loadFees(account), false)) drawFees(market.symbol);
  return true;
}

// Several messages at once are one look.
function refreshSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    refresh();
  }, SOON_MS);
}

function refresh() {
  if (account && market && !amending) attempt(look, false);
}

// Place an order and say what became of it: one that filled at once is in no list of open orders.
async function place(order) {
  const traded = market;
  await act(async () => {
    const placed = await account.send("POST", "/v1/orders", order);
    setText("orders-done", told(placed, traded));
  });
}

// Place orders that depend on each other, and say what became of each.
async function placeList(orders) {
  const traded = market;
  await act(async () => {
    const placed = await account.send("POST", "/v1/order-lists", orders);
    setText("orders-done", placed.orders.map((order) => told(order, traded)).join(" "));
  });
}

const preview = (order) => account.send("POST", "/v1/orders/dry-run", order);

// Close all of a position at the market, by an order that cannot open another one.
async function closePosition({ symbol, quantity }) {
  const order = { symbol, side: quantity.startsWith("-") ? "buy" : "sell", type: "market", close_position: true };
  await act(async () => {
    const placed = await account.send("POST", "/v1/orders", order);
    const [base] = symbol.split("/");
    setText("orders-done", told(placed, { base }));
  });
}

// Cancel what is open in the market on the page, on both sides.
async function cancelAll() {
  const symbol = market.symbol.replace("/", "-");
  await act(async () => {
    const { cancelled } = await account.send("DELETE", `/v1/orders?symbol=${symbol}`);
    setText("orders-done", `Cancelled ${cancelled.length} in ${market.symbol}.`);
  });
}

// Do something, then show what it changed; returns whether it was done.
async function act(request) {
  setText("orders-done", "");
  const isDone = await attempt(request);
  await attempt(look, false);
  return isDone;
}

async function attempt(request, clears = true) {
  try {
    await request();
    if (clears) setText("orders-problem", "");
    return true;
  } catch (error) {
    setText("orders-problem", wordsOf(error));
    return false;
  }
}

async function look() {
  await list();
  await drawHoldings(account, market);
  await positions.look();
}

async function list() {
  const state = document.getElementById("closed-too").checked ? "all" : "open";
  const symbol = market.symbol.replace("/", "-");
  const { orders } = await account.send("GET", `/v1/orders?state=${state}&symbol=${symbol}&limit=50`);
  const now = JSON.stringify([symbol, orders]);
  if (amending || now === drawn) return; // rows that stay keep the keyboard's focus
  drawn = now;
  const whole = (order) => order.order_list_id && !order.pending && orders.some((other) =>
    other !== order && other.order_list_id === order.order_list_id && other.status === "open" &&
    other.side === order.side);
  const rows = orders.map((order) => draw(order, whole(order)));
  document.getElementById("orders").replaceChildren(...rows);
  show("orders-empty", !orders.length);
  show("cancel-all", orders.some((order) => order.status === "open"));
}

// One of two orders that end each other cannot be amended, and is cancelled with the other; one
// that is pending cannot be amended either.
function draw(order, isListed) {
  const row = element("tr", "", { "data-order": order.order_id });
  const price = element("td", order.price ?? "market", { class: "number", "data-label": "Price" });
  const quantity = element("td", order.quantity, { class: "number", "data-label": "Quantity" });
  const actions = element("td", "", { class: "actions" });
  row.append(
    element("td", `${order.side} ${order.type.replaceAll("_", " ")}`, { class: order.side }),
    price,
    quantity,
    element("td", filled(order), { class: "number", "data-label": "Filled" }),
    element("td", terms(order, market) || "–", { "data-label": "Terms" }),
    element("td", status(order), { "data-label": "Status" }),
    actions,
  );
  if (order.status === "open") {
    const cancel = () => account.send("DELETE", `/v1/orders/${order.order_id}`);
    if (!isListed && !order.pending) actions.append(button("Amend", () => amend(order, price, quantity, actions)));
    actions.append(button(isListed ? "Cancel both" : "Cancel", () => act(cancel)));
  }
  return row;
}

// Turn the price and the quantity of a row into inputs until they are sent or left.
function amend(order, price, quantity, actions) {
  amending = order.order_id;
  drawn = "";
  const inputs = { quantity: input("New quantity", order.quantity) };
  if (order.price) inputs.price = input("New price", order.price);
  if (order.waiting && order.trigger_price && !order.trailing_offset) {
    inputs.trigger_price = input("New trigger price", order.trigger_price);
  }
  quantity.replaceChildren(inputs.quantity);
  if (inputs.price) price.replaceChildren(inputs.price);
  if (inputs.trigger_price) price.append(" from ", inputs.trigger_price);
  const leave = () => {
    amending = null;
    refresh();
  };
  const send = async () => {
    const changed = {};
    for (const [name, made] of Object.entries(inputs)) {
      if (made.value.trim() !== order[name]) changed[name] = made.value.trim();
    }
    if (!Object.keys(changed).length) return leave();
    const target = `/v1/orders/${order.order_id}`;
    if (await attempt(() => account.send("PATCH", target, changed))) leave();
  };
  actions.replaceChildren(button("Save", send), button("Leave", leave));
  for (const made of Object.values(inputs)) {
    made.addEventListener("keydown", (event) => {
      if (event.key === "Enter") send();
      if (event.key === "Escape") leave();
    });
  }
  (inputs.price ?? inputs.quantity).focus();
}

function button(text, action) {
  const made = element("button", text, { type: "button" });
  made.addEventListener("click", (event) => {
    if (event.detail < 2) action(); // a double click's second half may be over another row by now
  });
  return made;
}

function input(label, value) {
  const made = element("input", "", { "aria-label": label, inputmode: "decimal", size: "9" });
  made.value = value;
  return made;
}
