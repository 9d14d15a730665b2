// Withdrawals: the addresses that may be paid and when, a request, how far each one is.

import { element, setText, show } from "/static/format.js";
import { panel } from "/static/panel.js";

const EVERY_MS = 3000;
const CANCELLABLE = ["requested", "held", "screened", "approved"];
const WORDS = {
  requested: "taking it from your balance",
  held: "being checked",
  screened: "waits for approval",
  approved: "next to be paid",
  numbered: "being signed",
  signed: "being sent",
  broadcast: "sent, waits for confirmations",
  voiding: "given up, waits for the chain",
  voided: "given up, coming back",
  confirmed: "confirmed, being booked",
  settled: "paid",
  reverted: "failed on the chain, an officer decides",
  rejecting: "refused, coming back",
  rejected: "refused",
  cancelling: "cancelled, coming back",
  cancelled: "cancelled",
};
const byId = (id) => document.getElementById(id);
const { say, attempt, onSubmit, row } = panel(
  "withdrawals", look, "This needs a fresh code of your app: confirm it under Security first.",
);
let account = null;
let drawn = "";
let asked = { text: "", key: "" }; // what is not accepted yet: asked for again it is the same request

export function openWithdrawals(begun) {
  const isFirst = account === null;
  account = begun;
  show("withdrawals-panel", true);
  if (!isFirst) return;
  onSubmit("new-address", addAddress);
  onSubmit("withdraw", withdraw);
  byId("withdraw").elements.namedItem("asset").addEventListener("change", () => attempt(look));
  attempt(look);
  setInterval(() => look().catch(() => {}), EVERY_MS); // the next look may go better
}

async function addAddress(fields, form) {
  const wanted = Object.fromEntries(
    Object.entries(fields).map(([name, text]) => [name, text.trim()]).filter(([, text]) => text),
  );
  const listed = await account.send("POST", "/v1/withdrawal-addresses", wanted);
  form.reset();
  say(isUsable(listed) ? "Listed; it may be paid now." : `Listed; it may be paid from ${moment(listed.usable_us)} on.`);
}

async function withdraw({ asset, amount, address }, form) {
  const wanted = { asset, amount: amount.trim(), address };
  const text = JSON.stringify(wanted);
  if (asked.text !== text) asked = { text, key: crypto.randomUUID() };
  const made = await account.send("POST", "/v1/withdrawals", wanted, asked.key);
  asked = { text: "", key: "" };
  say(`Asked for: ${made.receives} ${made.asset} will arrive, the fee is ${made.fee}.`);
  form.elements.namedItem("amount").value = "";
}

async function look() {
  const [{ addresses }, { withdrawals }, { limits, tier }, { assets }, { balances }] = await Promise.all(
    ["withdrawal-addresses", "withdrawals?limit=20", "withdrawal-limits", "assets", "balances"]
      .map((path) => account.send("GET", `/v1/${path}`)),
  );
  const chosen = byId("withdraw").elements.namedItem("asset").value || assets[0]?.asset;
  const usable = addresses.map(isUsable);
  const now = JSON.stringify([addresses, usable, withdrawals, limits, assets, balances, chosen]);
  if (now === drawn) return; // rows that stay keep the keyboard's focus
  drawn = now;
  byId("addresses").replaceChildren(...addresses.map(addressRow));
  show("addresses-table", addresses.length);
  show("addresses-empty", !addresses.length);
  choices("asset", assets.map(({ asset }) => [asset, asset]), chosen);
  choices("address", addresses.filter(isUsable).map((one) => [one.address, nameOf(one)]));
  byId("withdraw-now").disabled = !usable.includes(true);
  const terms = assets.find(({ asset }) => asset === chosen);
  const held = balances.find(({ asset }) => asset === chosen);
  setText("withdraw-terms", [
    usable.includes(true) ? "" : "No address may be paid yet.",
    terms && `At least ${terms.withdrawal_minimum} ${chosen}; the fee of ${terms.withdrawal_fee} is part of it.`,
    held && `${held.withdrawable} ${chosen} may leave.`,
    `Tier ${tier}: ${limits.map((one) => `${one.left_usd} of ${one.limit_usd} USD left in ${one.window}`).join(", ")}.`,
  ].filter(Boolean).join(" "));
  byId("withdrawals").replaceChildren(...withdrawals.map(withdrawalRow));
  show("withdrawals-table", withdrawals.length);
  show("withdrawals-empty", !withdrawals.length);
}

function choices(name, wanted, chosen) {
  const select = byId("withdraw").elements.namedItem(name);
  const before = chosen ?? select.value;
  select.replaceChildren(...wanted.map(([value, text]) => element("option", text, { value })));
  if (wanted.some(([value]) => value === before)) select.value = before;
}

const isUsable = (one) => one.usable_us <= Date.now() * 1000;
const moment = (microseconds) => new Date(microseconds / 1000).toLocaleString();
const short = (address) => `${address.slice(0, 8)}…${address.slice(-6)}`;
const nameOf = (one) => (one.label ? `${one.label}, ${short(one.address)}` : short(one.address));

function addressRow(one) {
  const path = `/v1/withdrawal-addresses/${one.address}?network=${encodeURIComponent(one.network)}`;
  return row(
    [["", one.label || "no label"], ["Address", one.address], ["Network", one.network],
      ["May be paid", isUsable(one) ? "now" : `from ${moment(one.usable_us)} on`]],
    "Remove", `Remove ${nameOf(one)}`, () => account.send("DELETE", path),
  );
}

function withdrawalRow(one) {
  const isOpen = CANCELLABLE.includes(one.state);
  return row(
    [["", `${one.amount} ${one.asset}`], ["To", short(one.address)], ["State", stateOf(one)],
      ["Transaction", one.tx_hash ?? "–"], ["Asked", moment(one.time_us)]],
    isOpen && !one.cancel_requested ? "Cancel" : "", `Cancel ${one.amount} ${one.asset} to ${short(one.address)}`,
    () => account.send("DELETE", `/v1/withdrawals/${one.withdrawal_id}`),
  );
}

function stateOf(one) {
  const isCancelled = one.cancel_requested && CANCELLABLE.includes(one.state);
  const words = isCancelled ? "cancelled, coming back" : WORDS[one.state] ?? one.state;
  const held = one.stage.startsWith("failed") ? "held up, the staff look after it" : "";
  return [words, held, one.reason, one.notice].filter(Boolean).join("; ");
}
