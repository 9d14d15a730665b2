// A web session: its access token stays in this page's memory; the cookie that refreshes it is
// never seen by a script. `Session` answers as `Account` does, so that the page need not know which.

import { contentOf } from "/static/account.js";

const FLAG = "rialto-session"; // that there may be a cookie; nothing of it
const EARLY_MS = 30_000;

export class Session {
  constructor(told) {
    this.take(told);
  }

  take(told) {
    this.id = told.session_id;
    this.token = told.access_token;
    this.expiresMs = told.access_expires_us / 1000;
    this.steppedUpUntilMs = told.stepped_up_until_us / 1000;
  }

  async send(method, target, body = null, once = "") {
    await this.stayFresh();
    try {
      return await ask(method, target, body, this.token, once);
    } catch (error) {
      if (error.code !== "session_ended") throw error;
    }
    await this.refresh();
    return ask(method, target, body, this.token, once);
  }

  async credentials() {
    await this.stayFresh();
    return { token: this.token };
  }

  async stepUp(code) {
    this.take(await this.send("POST", "/v1/sessions/step-up", { code }));
  }

  async signOut() {
    await this.send("DELETE", `/v1/sessions/${this.id}`);
    left();
  }

  async stayFresh() {
    if (Date.now() > this.expiresMs - EARLY_MS) await this.refresh();
  }

  async refresh() {
    this.refreshing ??= refreshed().finally(() => (this.refreshing = null));
    try {
      this.take(await this.refreshing);
    } catch (error) {
      if (error.code === "session_ended") left();
      throw error;
    }
  }
}

// The secret of a demo's link, off the address before anything else: it counts once.
const LINK = /^#login=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1];
if (LINK) history.replaceState(null, "", location.pathname);

// The session that this page was opened for; null without a link.
export async function linked() {
  if (!LINK) return null;
  const told = await ask("POST", "/v1/sessions/link", { link: LINK });
  localStorage.setItem(FLAG, "1");
  return new Session(told);
}

export async function signIn(name, password, code) {
  const told = await ask("POST", "/v1/sessions", { name, password, code });
  localStorage.setItem(FLAG, "1");
  return new Session(told);
}

// The session of an earlier page, if it goes on; null without one.
export async function resumed() {
  if (!localStorage.getItem(FLAG)) return null;
  try {
    return new Session(await refreshed());
  } catch (error) {
    if (error.code === "session_ended") localStorage.removeItem(FLAG);
    return null;
  }
}

// What is asked without being signed in.
export const askOpenly = (target, body) => ask("POST", target, body);

// One window after the other: each cookie counts once.
function refreshed() {
  const work = () => ask("POST", "/v1/sessions/refresh");
  return navigator.locks ? navigator.locks.request("rialto-refresh", work) : work();
}

function left() {
  localStorage.removeItem(FLAG);
  location.reload();
}

async function ask(method, target, body = null, token = "", once = "") {
  const headers = {};
  if (body !== null) headers["Content-Type"] = "application/json";
  if (once) headers["Idempotency-Key"] = once;
  if (token) headers.Authorization = `Bearer ${token}`;
  const text = body === null ? undefined : JSON.stringify(body);
  return contentOf(await fetch(target, { method, headers, body: text }));
}
