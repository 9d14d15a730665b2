// What the panels of a signed-in customer share: forms and rows that act, then look again, and say how it went.

import { wordsOf } from "/static/account.js";
import { element, setText } from "/static/format.js";

const byId = (id) => document.getElementById(id);

// `name` begins the ids of the lines that say what went wrong and what is done; `look` draws anew;
// `fresh` are the words for what needs a fresh second factor.
export function panel(name, look, fresh) {
  function say(words) {
    setText(`${name}-done`, words);
  }

  async function attempt(request) {
    setText(`${name}-problem`, "");
    say("");
    try {
      await request();
    } catch (error) {
      setText(`${name}-problem`, wordsOf(error));
      if (error.code === "step_up_required") {
        setText(`${name}-problem`, fresh);
        byId("step-up").elements.namedItem("code").focus();
      }
    }
  }

  const act = (work) => attempt(async () => {
    await work();
    await look();
  });

  function onSubmit(id, work) {
    const form = byId(id);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act(() => work(Object.fromEntries(new FormData(form)), form));
    });
  }

  function row(cells, label, description, action) {
    const made = element("tr");
    made.append(...cells.map(([title, text]) => element("td", text, title ? { "data-label": title } : {})));
    const actions = element("td", "", { class: "actions" });
    if (label) {
      const button = element("button", label, { type: "button", "aria-label": description });
      button.addEventListener("click", () => act(action));
      actions.append(button);
    }
    made.append(actions);
    return made;
  }

  return { say, attempt, onSubmit, row };
}
