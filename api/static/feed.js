// One WebSocket to the exchange: subscribes, checks sequence and checksum, reconnects by itself.

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5000;
const CHANNELS = {
  spot: ["book", "trades", "candles"],
  perpetual: ["book", "trades", "candles", "mark", "funding", "liquidations"],
};

const CRC_TABLE = Array.from({ length: 256 }, (_, start) => {
  let value = start;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

export function crc32(text) {
  let value = 0xffffffff;
  for (let index = 0; index < text.length; index += 1) {
    value = CRC_TABLE[(value ^ text.charCodeAt(index)) & 0xff] ^ (value >>> 8);
  }
  return (value ^ 0xffffffff) >>> 0;
}

// A book by price text; sorted views are made when they are read.
export class Book {
  constructor() {
    this.sequence = -1;
    this.levels = { bids: new Map(), asks: new Map() };
  }

  load(message) {
    this.sequence = message.seq;
    this.levels = { bids: new Map(message.bids), asks: new Map(message.asks) };
    return this.isWhole(message);
  }

  apply(message) {
    if (message.seq <= this.sequence) return true;
    if (message.prev_seq > this.sequence) return false;
    for (const side of ["bids", "asks"]) {
      for (const [price, quantity] of message[side]) {
        if (quantity === "0") this.levels[side].delete(price);
        else this.levels[side].set(price, quantity);
      }
    }
    this.sequence = message.seq;
    return this.isWhole(message);
  }

  side(name, depth) {
    const sign = name === "bids" ? -1 : 1;
    return [...this.levels[name]].sort((a, b) => sign * (a[0] - b[0])).slice(0, depth);
  }

  isWhole(message) {
    const top = [...this.side("bids", 10), ...this.side("asks", 10)];
    return crc32(top.map((level) => level.join(":")).join(":")) === message.checksum;
  }
}

export class Feed {
  constructor(url, { onState, onMessage }) {
    this.url = url;
    this.onState = onState;
    this.onMessage = onMessage;
    this.symbol = null;
    this.channels = [];
    this.account = null;
    this.after = {}; // by shard: the last of the account's messages that came
    this.retryMs = FIRST_RETRY_MS;
    this.book = new Book();
    this.open();
  }

  open() {
    this.socket = new WebSocket(this.url);
    this.socket.addEventListener("open", () => {
      this.retryMs = FIRST_RETRY_MS;
      this.onState("live");
      if (this.symbol) this.send("subscribe");
      this.login();
    });
    this.socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    this.socket.addEventListener("close", () => {
      this.onState("reconnecting");
      setTimeout(() => this.open(), this.retryMs);
      this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
    });
  }

  select({ symbol, kind }) {
    if (this.symbol === symbol) return;
    if (this.symbol) this.send("unsubscribe");
    this.symbol = symbol;
    this.channels = CHANNELS[kind];
    this.book = new Book();
    this.send("subscribe");
  }

  // Follows an account as well, over reconnects; `onAccount` hears what happens to it.
  follow(account, onAccount) {
    this.account = account;
    this.onAccount = onAccount;
    this.login();
  }

  async login() {
    if (!this.account || this.socket.readyState !== WebSocket.OPEN) return;
    const socket = this.socket;
    const credentials = await this.account.credentials("GET", new URL(this.url).pathname);
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ op: "login", ...credentials }));
  }

  receiveAccount(message) {
    if (message.op === "logged_in") {
      const request = { op: "subscribe", channel: "account", after: this.after };
      this.socket.send(JSON.stringify(request));
    } else if (message.channel === "account" && message.type !== "state") {
      if (message.type !== "margin_call") this.after[message.shard] = message.seq;
      this.onAccount(message);
    }
  }

  send(op) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    for (const channel of this.channels) {
      this.socket.send(JSON.stringify({ op, channel, symbol: this.symbol }));
    }
  }

  receive(message) {
    this.receiveAccount(message);
    if (message.symbol !== this.symbol || !message.type) return;
    if (message.channel === "book" && !this.updateBook(message)) {
      this.socket.send(JSON.stringify({ op: "resubscribe", channel: "book", symbol: this.symbol }));
      return;
    }
    this.onMessage(message);
  }

  updateBook(message) {
    return message.type === "snapshot" ? this.book.load(message) : this.book.apply(message);
  }
}
