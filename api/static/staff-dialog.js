// One dialog for everything that is decided: what happens then, what is signed, what is asked for.

import { element } from "/staff/format.js";
import { holdsKeyOf, readKey, sign } from "/staff/staff-key.js";
import { readable } from "/staff/staff-statement.js";

const dialog = document.getElementById("dialog");
const go = document.getElementById("dialog-go");
const problem = document.getElementById("dialog-problem");
let key = null;  // of this page only: it is gone with the page, and no script can read it back
let act = null;

document.getElementById("dialog-leave").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => { act = null; });
dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!act || go.disabled) return;
  const mine = act;
  go.disabled = true;
  problem.textContent = "";
  try {
    await mine();
    if (act === mine) dialog.close();
  } catch (error) {
    if (act === mine) problem.textContent = error.message;
  } finally {
    go.disabled = false;
  }
});

function open(title, effect, button, parts, work) {
  document.getElementById("dialog-title").textContent = title;
  document.getElementById("dialog-effect").textContent = effect;
  document.getElementById("dialog-body").replaceChildren(...parts);
  go.textContent = button;
  go.disabled = false;
  problem.textContent = "";
  act = work;
  dialog.showModal();
}

/** Ask for texts; `fields` is [[name, label, choices?, value?], ...]; `done` gets {name: text}. */
export function ask({ title, effect, button, fields, done }) {
  const inputs = fields.map(([name, text, choices, value]) => {
    const label = element("label", text);
    const input = choices ? element("select") : element("input", "", { maxlength: "500", autocomplete: "off" });
    for (const choice of choices ?? []) input.append(element("option", choice, { value: choice }));
    input.name = name;
    input.required = true;
    if (value) input.value = value;
    label.append(input);
    return label;
  });
  open(title, effect, button, inputs, () => done(Object.fromEntries(
    inputs.map((label) => [label.lastChild.name, label.lastChild.value.trim()]),
  )));
}

/** Show a statement, have it signed by the member's own key, and hand the signature to `done`. */
export function askToSign({ title, effect, statement, row, me, done }) {
  const list = element("dl");
  for (const [name, value] of readable(statement, row)) {
    const part = element("div", "", { class: name === "address" || name === "id" ? "wide" : "" });
    part.append(element("dt", name), element("dd", value));
    list.append(part);
  }
  const raw = element("details");
  raw.append(element("summary", "The text that is signed, letter by letter"), element("pre", statement));
  const parts = [list, raw];
  let file = null;
  if (!key) {
    const label = element("label", `${me.name}’s key file (.pem); it stays in this page`);
    file = element("input", "", { type: "file", accept: ".pem", required: "" });
    label.append(file);
    parts.push(label);
  }
  open(title, effect, "Sign", parts, async () => {
    if (!key) {
      const read = await readKey(file.files[0]);
      if (!await holdsKeyOf(read, me.public_key)) throw new Error(`This is not the key that is pinned for ${me.name}.`);
      key = read;
    }
    await done(await sign(key, statement));
  });
}

/** Forget the key. */
export function forgetKey() {
  key = null;
}
