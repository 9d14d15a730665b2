// Orders in words: their terms, their status, and what became of one just placed.

// What is not usual about an order.
export function terms(order, market) {
  const parts = [];
  const usual = order.type === "market" ? "ioc" : "gtc";
  const source = ["mark", "index"].includes(order.trigger_source) ? `${order.trigger_source} ` : "";
  if (order.trigger_price) parts.push(`from ${source}${order.trigger_price}`);
  if (order.trailing_offset) parts.push(`trailing ${source}by ${order.trailing_offset}`);
  if (order.expires_at_us) {
    parts.push(`until ${new Date(order.expires_at_us / 1000).toLocaleString()}`);
  } else if (order.time_in_force !== usual) {
    parts.push(order.time_in_force);
  }
  if (order.post_only) parts.push("post-only");
  if (order.reduce_only) parts.push(order.close_position ? "closes the position" : "reduce-only");
  if (order.display_quantity) parts.push(`shows ${order.display_quantity}`);
  if (order.order_list_id) parts.push(`of list ${order.order_list_id}`);
  if (order.quote_amount) parts.push(`for at most ${order.quote_amount} ${market.quote}`);
  return parts.join(", ");
}

export function status(order) {
  const reason = order.close_reason;
  if (order.pending) return "pending";
  if (order.waiting) return "waiting";
  if (!reason || reason === "filled" || reason === "cancelled_by_user") return order.status;
  const refusal = order.refusal ? `: ${order.refusal}` : "";
  return `${order.status} (${reason}${refusal})`.replaceAll("_", " ");
}

// What is filled, and at which price on average.
export function filled(order) {
  if (!order.average_price) return order.filled_quantity;
  return `${order.filled_quantity} at ${order.average_price}`;
}

// A sentence about an order that was placed a moment ago.
export function told(order, market) {
  const side = order.side === "buy" ? "Buy" : "Sell";
  const price = order.price ? `at ${order.price}` : "at the market";
  const head = `${side} ${order.quantity} ${market.base} ${price}`;
  if (order.filled_quantity === "0") return `${head}: ${status(order)}.`;
  const fee = order.fee ? `, fee ${order.fee} ${order.fee_asset}` : "";
  const rest = order.status === "filled" ? "" : `; the rest ${status(order)}`;
  return `${head}: filled ${filled(order)}${fee}${rest}.`;
}
