// What an officer signs: the same bytes that the workflow and the signer verify, and how they read.

const VALID_SECONDS = 24 * 3600;

/** Return the statement of a decision about a withdrawal; made here, from what the page shows. */
export function withdrawalStatement(row, action) {
  const expiry = Math.floor(Date.now() / 1000) + VALID_SECONDS;
  // Sorted keys, no blanks, the amount as text: domain/approval.py has the same.
  return JSON.stringify({
    action, address: row.address, amount: row.amount_units, asset: row.asset, expiry, id: row.withdrawal_id,
    ...(action === "void" ? { nonce: row.nonce } : {}),
  });
}

/** Return whether a statement of two signatures is the row's own, and of the kind that it says. */
export function isOf(row, statement) {
  let said;
  try {
    said = JSON.parse(statement);
  } catch {
    return false;
  }
  const known = said.action === "adjust" || said.action === "liquidation-continue"
    || /^market-[a-z-]+$/.test(said.action);
  const id = row.proposal_id ?? said.id;  // a liquidation's is in the statement alone
  return known && said.action === row.action && said.id === id;
}

/** Return units of 10^-decimals as plain decimal text, exactly. */
export function coins(units, decimals) {
  const digits = units.padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return fraction ? `${whole}.${fraction}` : whole;
}

/** Return [[name, value], ...] of what a statement says, in words; `row` has the decimals. */
export function readable(statement, row) {
  const said = JSON.parse(statement);
  return Object.entries(said).map(([name, value]) => {
    if (name === "expiry") return ["counts until", moment(value)];
    if (name === "amount" && row.decimals !== undefined) {
      return ["amount", `${coins(value, row.decimals)} ${said.asset} (${value} units)`];
    }
    if (name === "postings") {
      return ["postings", value.map(([from, to, asset, units]) => `${units} units of ${asset} from ${from} to ${to}`).join("; ") || "none"];
    }
    if (value === null || typeof value !== "object") return [name, String(value)];
    return [name, JSON.stringify(value)];
  });
}

function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString();
}
