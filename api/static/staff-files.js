// A withdrawal's story and a customer's file, readably; opening one is itself a record.

import { element } from "/staff/format.js";
import { ask } from "/staff/staff-dialog.js";
import { get, post } from "/staff/staff-key.js";
import { accountLink, workflowLink } from "/staff/staff-rows.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const STANDINGS = ["frozen", "withdraw_only", "active"];
const area = document.getElementById("file");

/** Go to what somebody typed: a withdrawal's id, or a customer. */
export function find(text) {
  const what = UUID.test(text) ? "withdrawal" : "customer";
  location.hash = `${what}=${encodeURIComponent(text)}`;
}

/** Show what the address asks for. */
export async function showFile(me) {
  const [what, text] = location.hash.slice(1).split("=");
  if (!text) return;
  try {
    const wanted = decodeURIComponent(text);
    if (what === "withdrawal") area.replaceChildren(...story(await get(`/console/withdrawals/${encodeURIComponent(wanted)}`), me));
    else if (what === "customer") area.replaceChildren(...file(await get(`/console/customer?who=${encodeURIComponent(wanted)}`), me));
    else return;
  } catch (error) {
    if (error.status === 401) throw error;
    area.replaceChildren(element("p", error.message, { class: "wrong", role: "alert" }));
  }
  area.focus();
  area.scrollIntoView({ block: "nearest" });
}

function story(found, me) {
  const head = element("h3", `${found.amount} ${found.asset}, ${found.state}`);
  const about = element("p", `Asked for by ${found.customer} at ${found.requested_at}, to ${found.address}; fee ${found.fee}.`);
  const flow = workflowLink(me, `withdrawal-${found.withdrawal_id}`);
  const answer = element("ol");
  for (const line of found.answer) answer.append(element("li", line));
  const parts = [head, about, flow, element("h3", "Who let it out or kept it, and why"), answer];
  if (found.differences.length) {
    const list = element("ul", "", { class: "wrong" });
    for (const line of found.differences) list.append(element("li", line));
    parts.push(element("h3", "What does not agree"), list);
  } else {
    parts.push(element("p", "Audit log, row and workflow history agree.", { class: "good" }));
  }
  parts.push(element("h3", "Every record"), records(found.records));
  return [wrapped(parts)];
}

function records(found) {
  const list = element("ol", "", { class: "story" });
  for (const record of found) {
    const item = element("li");
    const line = element("p");
    line.append(element("strong", record.action), ` by ${record.actor}, ${record.at.slice(0, 19).replace("T", " ")} UTC`);
    item.append(line);
    if (record.says) item.append(element("p", record.says));
    if (record.fault) item.append(element("p", `NOT GENUINE: ${record.fault}`, { class: "wrong" }));
    const more = element("details");
    more.append(element("summary", `record ${record.audit_id}`), element("pre", JSON.stringify(record.detail, null, 1)));
    item.append(more);
    list.append(item);
  }
  return list;
}

function file(found, me) {
  const head = element("h3", `${found.name} (${found.customer_id})`);
  const about = element("p");
  const standing = element("strong", found.standing, { class: found.standing === "active" ? "good" : "wrong" });
  about.append("Standing ", standing, `, tier ${found.tier}, ${found.kind} since ${found.since.slice(0, 10)}.`);
  const buttons = element("div", "", { class: "choices" });
  if (me.may_keep_files) {
    buttons.append(button("Change the standing…", () => changeStanding(found, me)), button("Write a note…", () => writeNote(found, me)));
  } else {
    buttons.append(element("p", "Standing and notes take the role compliance or admin.", { class: "quiet" }));
  }
  const flows = accountLink(me, found.customer_id, "this account’s workflows");
  const list = element("ul");
  for (const one of found.withdrawals) {
    const item = element("li");
    item.append(element("a", `${one.amount_text} ${one.asset}`, { href: `#withdrawal=${one.withdrawal_id}` }), `, ${one.state} to ${one.address}`);
    list.append(item);
  }
  if (!found.withdrawals.length) list.append(element("li", "none", { class: "quiet" }));
  return [wrapped([head, about, flows, buttons, element("h3", "Latest withdrawals"), list, element("h3", "Every record"), records(found.records)])];
}

function changeStanding(found, me) {
  ask({
    title: `Standing of ${found.name}`,
    effect: "Frozen refuses everything, withdraw_only whatever is not leaving; both cancel the open orders, which takes some seconds. "
      + "Withdrawals that wait are parked before their nonce while a customer is frozen.",
    button: "Set it",
    fields: [["standing", "Standing", STANDINGS, found.standing], ["reason", "Reason; for the record"]],
    done: async (form) => {
      await post("/console/standings", { customer_id: String(found.customer_id), ...form });
      await showFile(me);
    },
  });
}

function writeNote(found, me) {
  ask({
    title: `A note on ${found.name}`,
    effect: "It stays in the customer’s records, and nobody can change it.",
    button: "Write it down",
    fields: [["text", "Note"]],
    done: async (form) => {
      await post("/console/notes", { customer_id: String(found.customer_id), ...form });
      await showFile(me);
    },
  });
}

function wrapped(parts) {
  const made = element("article", "", { class: "card" });
  made.append(...parts);
  return made;
}

function button(text, work) {
  const made = element("button", text, { type: "button" });
  made.addEventListener("click", work);
  return made;
}
