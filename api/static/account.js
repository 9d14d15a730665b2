// One customer's signed requests. The key stays in this page's memory and is gone with it.

class Refusal extends Error {
  constructor(problem) {
    const { title, detail } = problem;
    super(detail.startsWith(title) ? detail : `${title}. ${detail}`);
    this.code = problem.code;
  }
}

// What a person is told of a request that failed.
export function wordsOf(error) {
  return error instanceof Refusal ? error.message : "The gateway does not answer.";
}

// Returns an answer's JSON or throws a Refusal.
export async function contentOf(answer) {
  const content = await answer.json();
  if (!answer.ok) throw new Refusal(content);
  return content;
}

export class Account {
  constructor(key, secret) {
    this.key = key;
    this.secret = secret;
  }

  // `target` is path and query; returns the answer's JSON or throws a Refusal.
  // `once` is an `Idempotency-Key`: of two requests with the same one the second changes nothing.
  async send(method, target, body = null, once = "") {
    const text = body === null ? "" : JSON.stringify(body);
    const { key, timestamp, signature } = await this.credentials(method, target, text, once);
    return contentOf(await fetch(target, {
      method,
      body: text || undefined,
      headers: {
        "Content-Type": "application/json",
        ...(once && { "Idempotency-Key": once }),
        "RIALTO-KEY": key,
        "RIALTO-TIMESTAMP": timestamp,
        "RIALTO-SIGNATURE": signature,
      },
    }));
  }

  // What a request is signed with; a login to the WebSocket is a GET of its address.
  async credentials(method, target, text = "", once = "") {
    const timestamp = String(Date.now());
    const [path, query = ""] = target.split("?");
    const lines = [timestamp, method, path, query, once, text];
    const signature = await this.sign(lines.map((line) => `${line}\n`).join(""));
    return { key: this.key, timestamp, signature };
  }

  async sign(text) {
    const bytes = new TextEncoder();
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    this.imported ??= await crypto.subtle.importKey(
      "raw", bytes.encode(this.secret), algorithm, false, ["sign"],
    );
    const signature = new Uint8Array(
      await crypto.subtle.sign(algorithm, this.imported, bytes.encode(text)),
    );
    return [...signature].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}
