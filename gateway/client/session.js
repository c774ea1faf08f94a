// A session: many channels and REST requests over one WebSocket, authenticated once.

/**
 * Open a session. @param {string | URL} url of the session route
 * @param {{token?: Token, credentials?: RequestCredentials, onstatus?: (status: Status) => void}} [options]
 */
export function connect(url, options = {}) {
  const session = new Session(new URL(url, globalThis.location?.href), options, ["websocket"]);
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
    return this.opened && this.socket;
  }

  /** Follow a live URL. @param {string | URL} url @param {LiveOptions} [options] @returns {Channel} */
  live(url, options = {}) {
    const channel = new Channel(new URL(url, this.url), options);
    const name = (channel.name = channel.url.pathname + channel.url.search);
    if (this.channels.has(name)) throw new Error(`${name} is followed in this session already`);
    channel.leave = () => {
      this.channels.delete(name);
      if (channel.joined) this.ask({ op: "unsubscribe", channel: name }).catch(() => {});
      channel.joined = false;
    };
    channel.again = () => {
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
    const opened = (socket) => (this.socket = socket);
    const end = await this.websocket(new URL(this.url), control, opened, (message) => this.hear(message));
    if (this.opened || control.signal.aborted) return end;
    // A page is not told why a WebSocket was refused; without an upgrade it is, and where all is well 426 comes.
    const { end: why } = await this.get(this.url, "text/event-stream", control);
    return why && why.code !== 426 ? why : end;
  }

  /** The connection is gone. */
  ended() {
    clearInterval(this.beat);
    this.socket = undefined;
    for (const channel of this.channels.values()) channel.joined = false;
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
    else if (op === "ok" || op === "response") this.settle(id)?.resolve(message);
  }

  welcome({ heartbeat }) {
    this.open("websocket");
    this.beat = setInterval(() => {
      if (this.quiet) return this.again(); // a whole heartbeat without a word, and none in answer to ours
      this.quiet = true;
      this.say({ op: "ping" });
    }, heartbeat * 1000);
    for (const waiting of this.asked.values()) this.send(waiting);
    for (const channel of this.channels.values()) this.join(channel);
  }

  join(channel) {
    const { name, position, options } = channel;
    const message = { op: "subscribe", channel: name, since: position || undefined, mode: options.mode };
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
    this.say(waiting.message);
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
