// The staff's console: five lists that are looked at every few seconds, and the decisions.

import { element, setText } from "/staff/format.js";
import { ask, askToSign, forgetKey } from "/staff/staff-dialog.js";
import { find, showFile } from "/staff/staff-files.js";
import { get, post } from "/staff/staff-key.js";
import {
  parkedCard, proposalCard, stoppedCard, suspenseCard, tick, withdrawalCard,
} from "/staff/staff-rows.js";
import { isOf, withdrawalStatement } from "/staff/staff-statement.js";

const LISTS = [
  ["stopped", stoppedCard, "Payments go out."],
  ["withdrawals", withdrawalCard, "No withdrawal waits for anybody."],
  ["proposals", proposalCard, "Nothing is proposed."],
  ["suspense", suspenseCard, "Nothing is in suspense."],
  ["parked", parkedCard, "Nothing else is parked."],
];
const LOOK_MS = 5000;
const EAGER_MS = 1000;  // after a decision, until it shows what came of it
const EAGER_LOOKS = 15;
const UNWATCHED_MS = 5 * 60_000;  // then the page asks no more, so that the session can end
const shown = new Map();
let me = null;
let touched = Date.now();
let timer = 0;
let eager = 0;

function state(name, text) {
  const badge = document.getElementById("state");
  badge.dataset.state = name;
  setText("state", text);
}

/** Show the file that the address names; what goes wrong is said there. */
function openFile() {
  showFile(me).catch(signInAgain);  // it throws only where the session has ended
}

function signInAgain() {
  forgetKey();
  location.replace(`/login?next=${encodeURIComponent(location.pathname + location.hash)}`);
}

/** Look at one list; what is away is said there, and the others are shown nevertheless. */
async function look([name, card, nothing]) {
  const area = document.getElementById(name);
  let found;
  try {
    found = await get(`/console/${name}`);
  } catch (error) {
    if (error.status === 401) throw error;
    shown.delete(name);
    area.replaceChildren(element("p", `Not known now: ${error.message}`, { class: "wrong" }));
    return false;
  }
  const text = JSON.stringify(found.rows);
  if (shown.get(name) === text) return true;
  shown.set(name, text);
  const focused = area.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  area.replaceChildren(...found.rows.map((row) => card(row, me, choose)));
  if (!found.rows.length) area.append(element("p", nothing, { class: "empty" }));
  if (focused) area.querySelector(`button[data-key="${CSS.escape(focused)}"]`)?.focus();
  document.querySelector(`#${name}-title small`).textContent = found.rows.length || "";
  return true;
}

async function lookAtAll() {
  clearTimeout(timer);
  if (document.hidden || Date.now() - touched > UNWATCHED_MS) {
    state("waiting", "waits for you");
    return;
  }
  try {
    const known = await Promise.all(LISTS.map(look));
    state(known.every(Boolean) ? "live" : "partly", known.every(Boolean) ? "live" : "not everything is known");
  } catch (error) {
    if (error.status === 401) return signInAgain();
    state("away", "not reachable");
  }
  document.querySelectorAll("main time").forEach(tick);
  clearTimeout(timer);
  eager = Math.max(0, eager - 1);
  timer = setTimeout(lookAtAll, eager ? EAGER_MS : LOOK_MS);
}

function wake() {
  const slept = document.getElementById("state").dataset.state === "waiting";
  touched = Date.now();
  if (slept && me) lookAtAll();
}

/** Send a decision, say what came of it, and look again. */
async function send(path, form) {
  let answer;
  try {
    answer = await post(path, form);
  } catch (error) {
    if (error.status === 401) signInAgain();
    throw error;
  }
  setText("told", `${answer.text[0].toUpperCase()}${answer.text.slice(1)}.`);
  eager = EAGER_LOOKS;
  lookAtAll();
}

function choose(row, choice) {
  setText("told", "");
  setText("problem", "");
  const { action, effect } = choice;
  if (choice.is_signed) return chooseToSign(row, choice);
  const reason = ["reason", "Reason; for the record"];
  if (action === "release") {
    return ask({
      title: `Release ${row.amount} ${row.asset}`, effect, button: "Propose it",
      fields: [["customer", "To which customer, by name", null, row.customer], reason],
      done: (form) => send("/console/releases", { deposit_id: row.deposit_id, ...form }),
    });
  }
  if (action === "return") {
    return ask({
      title: `Return ${row.amount} ${row.asset} to its sender`, effect: `${effect} The sender is ${row.sender}.`, button: "Propose it",
      fields: [reason],
      done: (form) => send("/console/returns", { deposit_id: row.deposit_id, ...form }),
    });
  }
  const path = action === "abandon" ? "/console/abandonments" : "/console/retries";
  return ask({
    title: action === "abandon" ? "Give the change up" : "Try the parked step again", effect,
    button: action === "abandon" ? "Give it up" : "Retry", fields: [reason],
    done: (form) => send(path, { workflow_id: row.workflow_id, ...form }),
  });
}

function chooseToSign(row, choice) {
  const isSimple = choice.action === "sign";
  const action = isSimple ? row.action : choice.action;
  const statement = isSimple ? row.statement : withdrawalStatement(row, action);
  if (isSimple && !isOf(row, statement)) {
    setText("problem", "This statement is not what the row says: do not sign it, tell the developers.");
    return;
  }
  const titles = {
    approve: "Approve the withdrawal", reject: "Reject the withdrawal", sign: "Sign the proposal",
    void: "Give the payment up",
  };
  askToSign({
    title: titles[choice.action], effect: choice.effect, statement, row, me,
    done: (signature) => send("/console/decisions", {
      workflow_id: row.workflow_id, action, statement, signature_hex: signature,
    }),
  });
}

async function start() {
  try {
    me = await get("/console/me");
  } catch (error) {
    if (error.status === 401) return signInAgain();
    state("away", "not reachable");
    setTimeout(start, 2000);
    return;
  }
  setText("who", `${me.name}, ${me.roles.join(", ")}`);
  document.getElementById("links").replaceChildren(
    ...me.links.map(({ title, href }) => element("a", title, { href })),
  );
  lookAtAll();
  openFile();
}

for (const event of ["pointerdown", "keydown"]) document.addEventListener(event, wake);
document.addEventListener("visibilitychange", () => { if (!document.hidden) wake(); });
window.addEventListener("hashchange", () => { if (me) openFile(); });
document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const before = location.hash;
  find(new FormData(event.target).get("who").trim());
  if (location.hash === before && me) openFile();
});
document.getElementById("sign-out").addEventListener("click", async () => {
  forgetKey();
  await post("/logout", {}).catch(() => {});
  location.replace("/login");
});
start();
