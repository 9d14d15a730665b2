// A member's Ed25519 key: read from a PEM file, kept where no script can read it back.

const PEM = /-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----/;

/** Return the key of a PEM file (PKCS #8), or throw an Error in words. */
export async function readKey(file) {
  const found = PEM.exec(await file.text());
  if (!found) throw new Error('This file holds no private key in PEM format.');
  const bytes = Uint8Array.from(atob(found[1].replace(/\s/g, '')), (one) => one.charCodeAt(0));
  try {
    return await crypto.subtle.importKey('pkcs8', bytes, {name: 'Ed25519'}, false, ['sign']);
  } catch {
    throw new Error('This is no Ed25519 key, or this browser cannot use one.');
  }
}

/** Return the signature of a text in hexadecimal digits. */
export async function sign(key, text) {
  const made = await crypto.subtle.sign({name: 'Ed25519'}, key, new TextEncoder().encode(text));
  return [...new Uint8Array(made)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** POST a JSON object and return the answer's; throw an Error with the server's words. */
export async function post(path, body) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify(body),
  });
  return told(answer);
}

/** Return whether a private key is the other half of a public one (64 hexadecimal digits). */
export async function holdsKeyOf(key, publicHex) {
  // Bytes that are no statement of ours, so that nobody can use the signature for anything.
  const sample = crypto.getRandomValues(new Uint8Array(32));
  const made = await crypto.subtle.sign({name: 'Ed25519'}, key, sample);
  const bytes = Uint8Array.from(publicHex.match(/../g), (pair) => parseInt(pair, 16));
  const known = await crypto.subtle.importKey('raw', bytes, {name: 'Ed25519'}, false, ['verify']);
  return crypto.subtle.verify({name: 'Ed25519'}, known, made, sample);
}

/** GET a JSON answer; throw an Error with the server's words, and its `status`. */
export async function get(path) {
  const answer = await fetch(path, {headers: {Accept: 'application/json'}});
  return told(answer);
}

async function told(answer) {
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  const error = new Error(found.message || `The server answered ${answer.status}.`);
  error.status = answer.status;
  throw error;
}
