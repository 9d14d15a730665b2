// The nine components, asked for every two seconds.

import { element, setText } from "/static/format.js";

const EVERY_MS = 2000;

export async function watchSystem() {
  try {
    const answer = await fetch("/v1/system");
    if (answer.ok) draw(await answer.json());
  } catch {
    setText("system-sequence", "the gateway does not answer");
  }
  setTimeout(watchSystem, EVERY_MS);
}

function draw(system) {
  const engine = system.engine ? `, ${system.engine} engine` : "";
  setText("system-sequence", system.sequence === null ? "" : `sequence ${system.sequence}${engine}`);
  document.getElementById("closed").replaceChildren(
    ...system.shards.flatMap(closed).map((text) => element("p", text)),
  );
  document.getElementById("components").replaceChildren(
    ...system.components.map((component) => {
      const row = element("tr");
      const name = element("td", component.name);
      if (component.note) name.append(element("small", component.note));
      row.append(
        name,
        element("td", component.health, { class: "health", "data-health": component.health }),
        element("td", component.process || "–", { "data-label": "Process" }),
        element("td", component.version || "–", { "data-label": "Version" }),
        element("td", number(component.sequence), { class: "number", "data-label": "Sequence" }),
        element("td", number(component.lag), { class: "number", "data-label": "Lag" }),
      );
      return row;
    }),
  );
  const link = document.getElementById("temporal");
  if (system.temporal_ui) {
    link.href = system.temporal_ui;
    link.hidden = false;
  }
}

// What does not take orders, in words: the shard itself, or single markets of it.
function closed(shard) {
  const why = (state, reason) => `${state.replace("_", "-")}${reason ? `: ${reason}` : ""}`;
  const lines = shard.closed_markets.map((m) => `${m.symbol} is ${why(m.state, m.reason)}`);
  if (shard.mode !== null && shard.mode !== "normal") {
    lines.unshift(`shard ${shard.shard} is ${why(shard.mode, shard.reason)}`);
  }
  return lines;
}

function number(value) {
  return value === null ? "–" : value.toLocaleString("en");
}
