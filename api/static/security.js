// The security panel of a session: a fresh second factor, keys, sessions, password, another app.

import { wordsOf } from "/static/account.js";
import { element, setText, show } from "/static/format.js";
import { showCodes, showFactor } from "/static/invitation.js";

let session = null;
const byId = (id) => document.getElementById(id);

export function openSecurity(begun) {
  session = begun;
  show("security-panel", true);
  onSubmit("step-up", async (fields, form) => {
    await session.stepUp(fields.code.trim());
    form.reset();
    say("For five minutes you may make keys and change your login.");
  });
  onSubmit("new-key", makeKey);
  onSubmit("new-password", async ({ password, new_password }, form) => {
    await session.send("POST", "/v1/login/password", { password, new_password });
    form.reset();
    say("The password is changed. All your other sessions have ended.");
  });
  byId("another-app").addEventListener("click", () => attempt(anotherApp));
  byId("sign-out").addEventListener("click", () => attempt(() => session.signOut()));
  attempt(look);
}

function onSubmit(id, work) {
  const form = byId(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      await work(Object.fromEntries(new FormData(form)), form);
      await look();
    });
  });
}

async function makeKey(fields, form) {
  const scopes = [...form.querySelectorAll("[name=scope]:checked")].map((one) => one.value);
  const wanted = { label: fields.label.trim(), scopes };
  const networks = fields.networks.split(/[\s,]+/).filter(Boolean);
  if (networks.length) wanted.networks = networks;
  if (fields.days) wanted.expires_us = (Date.now() + Number(fields.days) * 86_400_000) * 1000;
  if (fields.public_key.trim()) wanted.public_key = fields.public_key.trim();
  const made = await session.send("POST", "/v1/keys", wanted);
  form.reset();
  const lines = [element("p", "The new key:", { role: "status" }), element("code", made.key_id)];
  if (made.secret) {
    lines.push(element("p", "What it signs with. Copy it now: it is not shown again.", { class: "quiet" }));
    lines.push(element("code", made.secret));
  }
  byId("made-key").replaceChildren(...lines);
}

async function anotherApp() {
  const factor = await session.send("POST", "/v1/login/second-factor");
  const shown = byId("app-shown");
  const code = showFactor(shown, factor, "Use this app from now on", (first) => attempt(async () => {
    const done = await session.send("POST", "/v1/login/second-factor/confirmation", { code: first });
    showCodes(shown, done.recovery_codes, "The new app counts. All your other sessions have ended.");
    await look();
  }));
  code.focus();
}

async function look() {
  const [{ keys }, { sessions }] = await Promise.all([
    session.send("GET", "/v1/keys"), session.send("GET", "/v1/sessions"),
  ]);
  byId("keys").replaceChildren(...keys.map(keyRow));
  show("keys-empty", !keys.length);
  byId("sessions").replaceChildren(...sessions.map(sessionRow));
}

function keyRow(key) {
  const name = key.label || "made for you";
  const ends = key.expires_us ? new Date(key.expires_us / 1000).toLocaleString() : "never";
  return row(
    [["", name], ["Id", key.key_id], ["May", key.scopes.join(", ")],
      ["From", key.networks.join(", ") || "anywhere"], ["Ends", ends]],
    "Revoke", `Revoke ${name}`, () => session.send("DELETE", `/v1/keys/${key.key_id}`),
  );
}

function sessionRow(one) {
  const began = new Date(one.created_us / 1000).toLocaleString();
  const place = `${one.address}${one.is_this ? " (this one)" : ""}`;
  return row(
    [["", place], ["Browser", one.agent], ["Since", began]],
    one.is_this ? "" : "End", `End the session from ${one.address}`,
    () => session.send("DELETE", `/v1/sessions/${one.session_id}`),
  );
}

function row(cells, label, description, action) {
  const made = element("tr");
  made.append(...cells.map(([name, text]) => element("td", text, name ? { "data-label": name } : {})));
  const actions = element("td", "", { class: "actions" });
  if (label) {
    const button = element("button", label, { type: "button", "aria-label": description });
    button.addEventListener("click", () => attempt(async () => {
      await action();
      await look();
    }));
    actions.append(button);
  }
  made.append(actions);
  return made;
}

function say(words) {
  setText("security-done", words);
}

async function attempt(request) {
  setText("security-problem", "");
  say("");
  try {
    await request();
  } catch (error) {
    setText("security-problem", wordsOf(error));
    if (error.code === "step_up_required") {
      setText("security-problem", "This needs a fresh code of your app: confirm it first.");
      byId("step-up").elements.namedItem("code").focus();
    }
  }
}
