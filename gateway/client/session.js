// A session: many channels and REST requests over one WebSocket, authenticated once. Where no WebSocket gets through,
// each channel has a stream of its own, and each request is one of `fetch`.

/**
 * Open a session. @param {string | URL} url of the session route
 * @param {{token?: Token, credentials?: RequestCredentials, onstatus?: (status: Status) => void}} [options]
 */
export function connect(url, options = {}) {
  const session = new Session(new URL(url, globalThis.location?.href), options, ["websocket", "fetch"]);
  session.start();
  return session;
}

class Session extends Line {
  kind = "session";
  status = { state: "connecting" };
  channels = new Map();
  asked = new Map();
  count = 0;

  /** Whether the gateway has said hello on a connection that stands. */
  get ready() {
    return this.opened && (this.socket || this.apart);
  }

  /** Follow a live URL. @param {string | URL} url @param {LiveOptions} [options] @returns {Channel} */
  live(url, options = {}) {
    const { token, credentials } = this.options;
    const channel = new Channel(new URL(url, this.url), { token, credentials, ...options });
    const name = (channel.name = channel.url.pathname + channel.url.search);
    if (this.channels.has(name)) throw new Error(`${name} is followed in this session already`);
    channel.leave = () => {
      this.channels.delete(name);
      channel.stream?.stop();
      if (channel.joined) this.ask({ op: "unsubscribe", channel: name }).catch(() => {});
      channel.joined = false;
    };
    channel.again = () => {
      if (channel.stream) return channel.stream.begin();
      channel.joined = false;
      this.ask({ op: "unsubscribe", channel: name }).then(() => this.join(channel), () => {});
    };
    this.channels.set(name, channel);
    if (this.ready) this.join(channel);
    return channel;
  }

  /**
   * Send a REST request; resolves to its answer whatever the status, and rejects (`code`, `status`) where there is none:
   * the gateway refused it, or the connection was lost meanwhile, and then it may have been done or not.
   * @param {string} method @param {string} path @param {any} [body] JSON
   * @param {{headers?: Record<string, string>, signal?: AbortSignal}} [options]
   * @returns {Promise<{status: number, headers: Record<string, string | string[]>, body?: any}>}
   */
  async request(method, path, body, { headers, signal } = {}) {
    signal?.throwIfAborted();
    const { pathname, search } = new URL(path, this.url);
    const message = { op: "request", method, path: pathname + search, headers, body };
    const answer = this.ask(message);
    signal?.addEventListener("abort", () => {
      const waiting = this.settle(message.id);
      if (waiting?.sent) this.say({ op: "cancel", id: message.id });
      waiting?.control?.abort();
      waiting?.reject(signal.reason);
    });
    const { status, headers: fields, body: content } = await answer;
    return { status, headers: fields, body: content };
  }

  /** End the session, its channels and its requests. */
  close() {
    this.stop();
    this.tell({ state: "closed" });
  }

  tell(status) {
    this.status = status;
    call(this.options.onstatus, status);
    if (status.state !== "live") for (const channel of this.channels.values()) channel.tell(status);
    if (status.state === "closed") this.lose(() => true);
  }

  async attempt(way, control) {
    if (way === "fetch") return this.separately(control);
    const opened = (socket) => (this.socket = socket);
    const end = await this.websocket(new URL(this.url), control, opened, (message) => this.hear(message));
    if (this.opened || control.signal.aborted) return end;
    // A page is not told why a WebSocket was refused; without an upgrade it is, and where all is well 426 comes.
    const { end: why } = await this.get(this.url, "text/event-stream", control);
    return why && why.code !== 426 ? why : end;
  }

  async separately(control) {
    if (recall(this) === "websocket") return { reason: "no WebSocket" }; // it will again, once the gateway is back
    const { end } = await this.get(this.url, "text/event-stream", control);
    if (end?.code !== 426) return end;
    this.apart = true;
    this.begin("fetch");
    return new Promise((resolve) => control.signal.addEventListener("abort", () => resolve({ reason: "given up" })));
  }

  /** The connection is gone. */
  ended() {
    clearInterval(this.beat);
    this.socket = this.apart = undefined;
    for (const channel of this.channels.values()) {
      channel.joined = false;
      channel.stream = channel.stream?.stop();
    }
    this.lose(({ sent }) => sent);
  }

  hear(message) {
    this.quiet = false;
    const { op, id, error } = message;
    const channel = this.channels.get(message.channel);
    if (op === "hello") this.welcome(message);
    else if (op === "event" && channel?.joined) channel.take(message.event);
    else if (op === "error" && channel) this.lost(channel, error);
    else if (op === "error") this.settle(id)?.reject(failure(error));
    else if (op === "expiring") this.renew().catch(() => {}); // then it ends, and is begun again
    else if (op === "ok" || op === "response") this.settle(id)?.resolve(message);
  }

  welcome({ heartbeat }) {
    this.beat = setInterval(() => {
      if (this.quiet) return this.again(); // a whole heartbeat without a word, and none in answer to ours
      this.quiet = true;
      this.say({ op: "ping" });
    }, heartbeat * 1000);
    this.begin("websocket");
  }

  /** Go on with a new token, where the page gives one for each attempt. */
  async renew() {
    if (typeof this.options.token !== "function") return;
    const token = await this.token();
    if (token) await this.ask({ op: "auth", token });
  }

  begin(way) {
    this.open(way);
    for (const waiting of this.asked.values()) this.send(waiting);
    for (const channel of this.channels.values()) this.join(channel);
  }

  /** A channel over a stream of its own. */
  separate(channel) {
    const stream = (channel.stream = new Stream(channel, ["sse", "long_poll"]));
    stream.tell = (status) => {
      if (status.state === "closed") this.channels.delete(channel.name);
      channel.tell(status);
    };
    stream.start();
  }

  join(channel) {
    if (this.apart) return this.separate(channel);
    const { name, position, options } = channel;
    const interval = options.interval && `${options.interval}s`;
    const message = { op: "subscribe", channel: name, since: position || undefined, mode: options.mode, interval };
    const joined = () => {
      channel.joined = true; // at once: the first event may be the next message
      channel.tell({ state: "live", transport: "websocket" });
    };
    this.ask(message, joined).catch((error) => error.code !== "connection_lost" && this.lost(channel, error));
  }

  /** A subscription has ended, or was refused. */
  async lost(channel, { code, status, message }) {
    const { socket } = this;
    const stands = () => this.socket === socket && this.channels.get(channel.name) === channel;
    if (!stands()) return;
    channel.joined = false;
    if (status < 500 && status !== 429 && code !== "too_slow") {
      this.channels.delete(channel.name);
      return channel.tell({ state: "closed", code, reason: message });
    }
    const retryIn = FIRST + Math.random() * LONGEST;
    channel.tell({ state: "offline", code, reason: message, retryIn });
    await sleep(retryIn, this.control.signal);
    if (stands()) this.join(channel);
  }

  /** Send a message, now or when there is a connection; `done` is called at once when the answer comes. */
  ask(message, done) {
    message.id = ++this.count;
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(LOST);
      const waiting = { message, reject, resolve: (answer) => resolve(answer, done?.()) };
      this.asked.set(message.id, waiting);
      if (this.ready) this.send(waiting);
    });
  }

  send(waiting) {
    waiting.sent = true;
    if (this.apart) this.fetch(waiting);
    else this.say(waiting.message);
  }

  async fetch(waiting) {
    const { id, method, path, headers, body } = waiting.message;
    const { signal } = (waiting.control = new AbortController());
    try {
      const type = body !== undefined && { "Content-Type": "application/json" };
      const answer = await fetch(new URL(path, this.url), {
        method, signal, credentials: this.options.credentials, body: JSON.stringify(body),
        headers: await this.headers({ ...type, ...headers }),
      });
      const fields = Object.fromEntries(answer.headers), bytes = new Uint8Array(await answer.arrayBuffer());
      const content = /[/+]json/.test(fields["content-type"])
        ? JSON.parse(new TextDecoder().decode(bytes))
        : { base64: base64(bytes) };
      this.settle(id)?.resolve({ status: answer.status, headers: fields, body: bytes.length ? content : undefined });
    } catch {
      this.settle(id)?.reject(LOST);
    }
  }

  say(message) {
    this.socket?.send(JSON.stringify(message));
  }

  settle(id) {
    const waiting = this.asked.get(id);
    this.asked.delete(id);
    return waiting;
  }

  lose(which) {
    for (const [id, waiting] of this.asked) if (which(waiting)) this.settle(id).reject(LOST);
  }
}

const failure = ({ message, ...why }) => Object.assign(new Error(message), why);
const LOST = failure({ code: "connection_lost", message: "the connection was lost before the answer came" });
