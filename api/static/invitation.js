// Making a login with an invitation: password, picture for the app, its first code, recovery codes.

import { wordsOf } from "/static/account.js";
import { element, show } from "/static/format.js";
import { askOpenly } from "/static/session.js";

const form = document.getElementById("invitation");
const shown = document.getElementById("invitation-shown");
const problem = document.getElementById("invitation-problem");

export function watchInvitation() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(enrol);
  });
}

async function enrol() {
  const { name, invitation, password } = Object.fromEntries(new FormData(form));
  const factor = await askOpenly("/v1/login/enrolment", { name: name.trim(), invitation, password });
  const last = showFactor(shown, factor, "Make my login", async (code) => {
    const done = await askOpenly("/v1/login/activation", { name: name.trim(), invitation, code });
    form.reset();
    show("invitation", false);
    showCodes(shown, done.recovery_codes, "Your login is made. Sign in above with the app's next code.");
  });
  last.focus();
}

// A new factor's picture and secret, and a form for its first code; returns the code's input.
export function showFactor(target, factor, label, confirm) {
  const entry = element("form", "", { class: "step" });
  const code = element("input", "", {
    name: "code", required: "", inputmode: "numeric", autocomplete: "one-time-code", maxlength: "6",
  });
  const named = element("label", "Code that the app shows now ");
  named.append(code);
  entry.append(named, element("button", label));
  entry.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => confirm(code.value.trim()));
  });
  const typed = element("p", "Or type it into the app: ", { class: "quiet" });
  typed.append(element("code", factor.secret.match(/.{1,4}/g).join(" ")));
  const picture = element("img", "", { src: factor.picture, alt: "QR code for an authenticator app" });
  target.replaceChildren(picture, typed, entry);
  return code;
}

export function showCodes(target, codes, words) {
  const list = element("ul", "", { class: "codes" });
  list.append(...codes.map((code) => element("li", code)));
  const advice = "Recovery codes: each signs in once, should the app be lost. They are not shown again.";
  const done = element("p", words, { role: "status" });
  target.replaceChildren(done, element("p", advice, { class: "quiet" }), list);
}

async function attempt(request) {
  problem.textContent = "";
  try {
    await request();
  } catch (error) {
    problem.textContent = wordsOf(error);
  }
}
