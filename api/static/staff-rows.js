// Cards: one for each thing that waits, with what a decider must know and what may be done.

import { element, prose } from "/staff/format.js";

const LATE_MS = 6 * 3600 * 1000;
const WORDS = {
  approve: "Approve…", reject: "Reject…", retry: "Retry…", sign: "Sign…", abandon: "Give up…",
  release: "Propose a release…", return: "Propose a return…", void: "Give up…",
};

/** Return an element that says how long ago, or how soon, a moment is. */
export function age(iso) {
  const made = element("time", "", { datetime: iso, title: iso });
  tick(made);
  return made;
}

/** Bring the words of a moment up to date. */
export function tick(made) {
  const distance = new Date(made.dateTime) - Date.now();
  const minutes = Math.round(Math.abs(distance) / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  const words = days ? `${days} d ${hours} h` : hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
  const text = distance > 0 ? `in ${words}` : `${words} ago`;
  if (made.textContent !== text) made.textContent = text;
}

function facts(pairs) {
  const list = element("dl");
  for (const [name, value, wide] of pairs) {
    if (value === "" || value === null || value === undefined) continue;
    const part = element("div", "", wide ? { class: "wide" } : {});
    const told = element("dd");
    told.append(...[value].flat());
    part.append(element("dt", name), told);
    list.append(part);
  }
  return list;
}

function link(text, href) {
  return element("a", text, { href });
}

function card(key, title, tags, links, parts) {
  const made = element("article", "", { class: "card", "data-key": key, "aria-label": title });
  const head = element("header");
  head.append(element("h3", title));
  for (const [text, kind] of tags) if (text) head.append(element("span", text, { class: `tag ${kind}` }));
  const end = element("span", "", { class: "end" });
  end.append(...links);
  head.append(end);
  made.append(head, ...parts);
  return made;
}

/** Return the buttons of a row's choices; who may not is told so instead. */
function choices(row, key, me, choose) {
  const made = element("div", "", { class: "choices" });
  const refused = new Set();
  for (const choice of row.choices) {
    if (!(choice.is_signed ? me.may_decide : me.may_retry)) {
      refused.add(choice.is_signed ? "Signing takes the role approver." : "This takes the role operator, approver or admin.");
      continue;
    }
    const button = element("button", WORDS[choice.action], { type: "button", title: choice.effect, "data-key": `${key}:${choice.action}` });
    button.addEventListener("click", () => choose(row, choice));
    made.append(button);
  }
  for (const text of refused) made.append(element("p", text, { class: "quiet" }));
  return made;
}

function effects(row) {
  const made = element("details");
  made.append(element("summary", "What happens on each choice"));
  for (const choice of row.choices) {
    const line = element("p");
    line.append(element("strong", `${WORDS[choice.action].replace("…", "")}: `), choice.effect);
    made.append(line);
  }
  return made;
}

/** Return a link to an account's workflows in Temporal's UI. */
export function accountLink(me, account, text = "account’s workflows") {
  const query = encodeURIComponent(`AccountId = '${account}'`);
  return link(text, `${me.workflows_path}?query=${query}`);
}

/** Return a link to a workflow in Temporal's UI. */
export function workflowLink(me, workflowId) {
  return link("in the Temporal UI", `${me.workflows_path}/${encodeURIComponent(workflowId)}`);
}

function findings(row) {
  if (!row.screened) return "not screened yet";
  const refused = Object.entries(row.screened.checks).filter(([, passed]) => !passed).map(([rule]) => rule);
  const rules = refused.length ? `refused by ${refused.join(", ")}` : `all ${Object.keys(row.screened.checks).length} rules passed`;
  return `${rules} (version ${row.screened.policy_version}); ${row.screened.screenings.join("; ") || "nobody was asked"}`;
}

export function withdrawalCard(row, me, choose) {
  const late = row.deadline && new Date(row.deadline) - Date.now() < LATE_MS;
  const receiver = [row.beneficiary, row.institution].filter(Boolean).join(", ");
  const value = row.value_usd ? ` · ${Number(row.value_usd).toLocaleString("en", { minimumFractionDigits: 2 })} USD` : "";
  const made = card(`withdrawal-${row.withdrawal_id}`, `${row.amount} ${row.asset}${value}`, [
    [row.stage, row.parked ? "parked" : ""],
    [late ? "deadline is near" : "", "late"],
    [row.review ? `review: ${row.review}` : "", "late"],
    [row.standing === "active" ? "" : `customer is ${row.standing}`, "parked"],
  ], [
    link("story", `#withdrawal=${row.withdrawal_id}`),
    workflowLink(me, row.workflow_id),
    accountLink(me, row.customer_id),
  ], [facts([
    ["Customer", [link(row.customer, `#customer=${row.customer_id}`), ` (${row.customer_id}), tier ${row.tier}`]],
    ["Receives, after the fee", `${row.receives} ${row.asset} (fee ${row.fee})`],
    ["Asked for", age(row.requested_at)],
    ["Deadline", row.deadline && age(row.deadline)],
    ["Approvals", `${row.approved_by.length} of ${row.needed}${row.approved_by.length ? `: ${row.approved_by.join(", ")}` : ""}`],
    ["State", row.state],
    ["To", `${row.address} on ${row.chain}${receiver ? `, ${receiver}` : ", beneficiary not named"}`, true],
    ["Policy and screening", findings(row), true],
    ["Parked because", row.parked, true],
  ])]);
  if (row.advice) made.append(...prose(row.advice));
  if (!row.choices.length) made.append(element("p", "Nothing is to be decided: it can only go on.", { class: "quiet" }));
  made.append(effects(row), choices(row, `withdrawal-${row.withdrawal_id}`, me, choose));
  return made;
}

export function proposalCard(row, me, choose) {
  const made = card(row.workflow_id, row.kind.replaceAll("_", " "), [[row.failure ? "parked" : "", "parked"]], [workflowLink(me, row.workflow_id)], [facts([
    ["What it does", row.lines.join("; "), true],
    ["Reason", row.reason, true],
    ["Proposed by", row.proposed_by],
    ["Signatures", `${row.signed_by.length} of 2${row.signed_by.length ? `: ${row.signed_by.join(", ")}` : ""}`],
    ["Deadline", age(row.deadline)],
    ["Failure", row.failure, true],
  ])]);
  made.append(effects(row), choices(row, row.workflow_id, me, choose));
  return made;
}

export function suspenseCard(row, me, choose) {
  const value = row.about_usd === null ? "" : ` · about ${row.about_usd.toLocaleString("en")} USD`;
  const made = card(row.deposit_id, `${row.amount} ${row.asset}${value}`, [[row.reason, ""]], [
    workflowLink(me, row.deposit_id), accountLink(me, row.customer_id),
  ], [facts([
    ["Came to the address of", [link(row.customer || "nobody", `#customer=${row.customer_id}`), ` (${row.customer_id})`]],
    ["Seen", age(row.seen_at)],
    ["Sent by", row.sender, true],
    ["Transaction", row.tx_hash, true],
    ["Proposed already", row.proposals.length ? "its way out of suspense waits for signatures, above" : "", true],
  ])]);
  if (!row.choices.length && !row.proposals.length) {
    made.append(element("p", "The chain has lost it: nothing can be released. It is made whole when it is mined again.", { class: "quiet" }));
  }
  made.append(choices(row, row.deposit_id, me, choose));
  return made;
}

export function parkedCard(row, me, choose) {
  const whose = row.account ? `account ${row.account}` : row.symbol;
  const made = card(row.workflow_id, row.workflow_type.replace("Workflow", ""), [
    [row.stage, "parked"], [row.is_paused ? "paused in Temporal" : "", "late"],
  ], [workflowLink(me, row.workflow_id), ...(row.account ? [accountLink(me, row.account)] : [])], [facts([
    ["Amount", row.amount && `${row.amount} ${row.asset}`],
    ["Whose", whose],
    ["Began", age(row.started_at)],
    ["Runbook", row.runbook],
    ["Workflow", row.workflow_id, true],
  ])]);
  made.append(...prose(row.details || "No worker answers for it, so nothing more is known here."));
  made.append(effects(row), choices(row, row.workflow_id, me, choose));
  return made;
}

/** Return the card of who stops payments out. */
export function stoppedCard(row) {
  return card(row.by, row.by, [["stopped", "wrong"]], [], [element("p", row.reason)]);
}
