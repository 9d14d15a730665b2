// The security panel of a session: a fresh second factor, keys, sessions, password, another app.

import { element, show } from "/static/format.js";
import { showCodes, showFactor } from "/static/invitation.js";
import { panel } from "/static/panel.js";

let session = null;
const byId = (id) => document.getElementById(id);
const { say, attempt, onSubmit, row } = panel(
  "security", look, "This needs a fresh code of your app: confirm it first.",
);

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
