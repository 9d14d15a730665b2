// Your orders: signed in with an API key, listed with their terms, amended and cancelled.

import { Account, Refusal } from "/static/account.js";
import { element, setText, show } from "/static/format.js";
import { openTicket } from "/static/ticket.js";

const EVERY_MS = 2000;
let account = null;
let market = null;
let amending = null; // the id of the order whose row has inputs

export function selectMarket(chosen) {
  market = chosen;
  refresh();
}

export function watchOrders() {
  const signIn = document.getElementById("sign-in");
  signIn.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { key, secret } = Object.fromEntries(new FormData(signIn));
    account = new Account(key.trim(), secret.trim());
    if (!(await attempt(list))) {
      account = null;
      return;
    }
    signIn.reset();
    show("sign-in", false);
    show("desk", true);
  });
  document.getElementById("closed-too").addEventListener("change", refresh);
  openTicket(() => market, (order) => act(() => account.send("POST", "/v1/orders", order)));
  setInterval(refresh, EVERY_MS);
}

function refresh() {
  if (account && market && !amending) attempt(list, false);
}

// Do something, then show what it changed.
async function act(request) {
  if (await attempt(request)) await attempt(list, false);
}

async function attempt(request, clears = true) {
  try {
    await request();
    if (clears) setText("orders-problem", "");
    return true;
  } catch (error) {
    const known = error instanceof Refusal;
    setText("orders-problem", known ? error.message : "The gateway does not answer.");
    return false;
  }
}

async function list() {
  const state = document.getElementById("closed-too").checked ? "all" : "open";
  const symbol = market.symbol.replace("/", "-");
  const { orders } = await account.send("GET", `/v1/orders?state=${state}&symbol=${symbol}&limit=50`);
  if (amending) return;
  document.getElementById("orders").replaceChildren(...orders.map(draw));
  show("orders-empty", !orders.length);
}

function draw(order) {
  const row = element("tr", "", { "data-order": order.order_id });
  const price = element("td", order.price ?? "market", { class: "number", "data-label": "Price" });
  const quantity = element("td", order.quantity, { class: "number", "data-label": "Quantity" });
  const actions = element("td", "", { class: "actions" });
  row.append(
    element("td", `${order.side} ${order.type.replaceAll("_", " ")}`, { class: order.side }),
    price,
    quantity,
    element("td", order.filled_quantity, { class: "number", "data-label": "Filled" }),
    element("td", terms(order) || "–", { "data-label": "Terms" }),
    element("td", status(order), { "data-label": "Status" }),
    actions,
  );
  if (order.status === "open") {
    actions.append(
      button("Amend", () => amend(order, price, quantity, actions)),
      button("Cancel", () => act(() => account.send("DELETE", `/v1/orders/${order.order_id}`))),
    );
  }
  return row;
}

// Turn the price and the quantity of a row into inputs until they are sent or left.
function amend(order, price, quantity, actions) {
  amending = order.order_id;
  const inputs = { quantity: input("New quantity", order.quantity) };
  if (order.price) inputs.price = input("New price", order.price);
  if (order.waiting && order.trigger_price) {
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

function terms(order) {
  const parts = [];
  const usual = order.type === "market" ? "ioc" : "gtc";
  if (order.trigger_price) parts.push(`from ${order.trigger_price}`);
  if (order.trailing_offset) parts.push(`trailing by ${order.trailing_offset}`);
  if (order.expires_at_us) {
    parts.push(`until ${new Date(order.expires_at_us / 1000).toLocaleString()}`);
  } else if (order.time_in_force !== usual) {
    parts.push(order.time_in_force);
  }
  if (order.post_only) parts.push("post-only");
  if (order.display_quantity) parts.push(`shows ${order.display_quantity}`);
  if (order.quote_amount) parts.push(`for at most ${order.quote_amount} ${market.quote}`);
  return parts.join(", ");
}

function status(order) {
  const reason = order.close_reason;
  if (order.waiting) return "waiting";
  if (!reason || reason === "filled" || reason === "cancelled_by_user") return order.status;
  return `${order.status} (${reason.replaceAll("_", " ")})`;
}

function button(text, action) {
  const made = element("button", text, { type: "button" });
  made.addEventListener("click", action);
  return made;
}

function input(label, value) {
  const made = element("input", "", { "aria-label": label, inputmode: "decimal", size: "9" });
  made.value = value;
  return made;
}
