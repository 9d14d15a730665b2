// The API reference, drawn from /openapi.json.

import { element, prose } from "/static/format.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

async function start() {
  const api = await (await fetch("/openapi.json")).json();
  document.getElementById("description").replaceChildren(...prose(api.info.description));
  const groups = new Map();
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => operations[name])) {
      const operation = operations[method];
      const tag = operation.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push({ method, path, operation });
    }
  }
  const target = document.getElementById("operations");
  for (const [tag, operations] of groups) {
    target.append(element("h2", tag), ...operations.map((item) => describe(item, api)));
  }
}

function describe({ method, path, operation }, api) {
  const details = element("details");
  const summary = element("summary");
  const scope = operation["x-scope"] === "public" ? "public" : `scope ${operation["x-scope"]}`;
  summary.append(
    element("span", method.toUpperCase(), { class: "method" }),
    element("code", path),
    element("span", `${scope}, weight ${operation["x-weight"]}`, { class: "scope" }),
  );
  const body = element("div", "", { class: "body" });
  body.append(...prose(operation.description ?? ""));
  if (operation.parameters?.length) body.append(parameters(operation.parameters));
  const sent = operation.requestBody?.content?.["application/json"]?.schema;
  if (sent) body.append(element("h3", "Request"), schemaBlock(sent, api));
  for (const [status, response] of Object.entries(operation.responses)) {
    const schema = Object.values(response.content ?? {})[0]?.schema;
    if (!schema) continue;
    const title = status === "default" ? "Refused (application/problem+json)" : `Answer ${status}`;
    body.append(element("h3", title), schemaBlock(schema, api));
  }
  details.append(summary, body);
  return details;
}

function parameters(list) {
  const table = element("table");
  for (const parameter of list) {
    const row = element("tr");
    const type = example(parameter.schema, { components: {} }, 0);
    row.append(
      element("td", parameter.name),
      element("td", `${parameter.in}${parameter.required ? ", required" : ""}`),
      element("td", typeof type === "string" ? type : JSON.stringify(type)),
    );
    table.append(row);
  }
  return table;
}

function schemaBlock(schema, api) {
  return element("pre", JSON.stringify(example(schema, api, 0), null, 2));
}

// A value that shows the shape: examples where there are some, else the type's name.
function example(schema, api, depth) {
  if (depth > 8) return "…";
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1);
    return example(api.components.schemas?.[name] ?? {}, api, depth + 1);
  }
  if (schema.examples?.length) return schema.examples[0];
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const) return schema.const;
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) {
    const shown = choices.filter((choice) => choice.type !== "null");
    const value = example(shown[0] ?? {}, api, depth + 1);
    return shown.length < choices.length && typeof value === "string" ? `${value} | null` : value;
  }
  if (schema.prefixItems) return schema.prefixItems.map((item) => example(item, api, depth + 1));
  if (schema.type === "array") return [example(schema.items ?? {}, api, depth + 1)];
  if (schema.type === "object" && schema.properties) {
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, value]) => [name, example(value, api, depth + 1)]),
    );
  }
  return schema.default ?? schema.type ?? "any";
}

start();
