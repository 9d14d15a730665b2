// Numbers and elements. Amounts stay text: they are padded, never converted.

export function decimals(step) {
  return (step.split(".")[1] || "").length;
}

export function pad(text, places) {
  if (!places) return text;
  const [whole, fraction = ""] = text.split(".");
  return `${whole}.${fraction.padEnd(places, "0")}`;
}

// Text as our descriptions have it: paragraphs, `code`, **strong**; as elements, never as HTML.
export function prose(text) {
  return text.split(/\n\s*\n/).map((paragraph) => {
    const made = element("p");
    for (const part of paragraph.split(/(`[^`]+`|\*\*[^*]+\*\*)/)) {
      if (part.startsWith("`")) made.append(element("code", part.slice(1, -1)));
      else if (part.startsWith("**")) made.append(element("strong", part.slice(2, -2)));
      else made.append(part.replace(/\s+/g, " "));
    }
    return made;
  });
}

export function clock(microseconds) {
  return new Date(microseconds / 1000).toLocaleTimeString([], { hour12: false });
}

export function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function show(id, visible) {
  document.getElementById(id).hidden = !visible;
}

export function setText(id, text) {
  const target = document.getElementById(id);
  if (target.textContent !== text) target.textContent = text;
}
