// What is kept connected: attempts, pauses between them, and which way gets through. Knows nothing of events.

// Pauses grow from a second to a quarter of a minute, and each is a random part of that: clients of a gateway that
// restarts do not come back all at once.
const FIRST = 1000, LONGEST = 15_000;
const OPENING = 10_000; // ms for an attempt to bring its first byte
const TRIES = 3; // of a way that has worked before, until others are tried
const FINAL = new Set([1002, 1003, 1007, 1009, 4400, 4401, 4403, 4404, 4409]); // close codes: do not come back
const RENEW = new Set([401, 4401, 4409]); // what a new token may help against
const TOO_MANY = 4429;

/**
 * Subclasses have `kind`, `tell(status)` and `attempt(way, control)`, which calls `open` when something came and resolves
 * to how it ended: `{code, reason, final, pause}`.
 */
class Line {
  constructor(url, options, ways) {
    this.url = url;
    this.options = options;
    this.ways = ways;
    this.failures = 0; // attempts since the last that opened
    this.closed = this.hurry = false;
    this.wake = () => this.again();
  }

  start() {
    globalThis.addEventListener?.("online", this.wake); // sooner than a dead connection is noticed
    this.run();
  }

  stop() {
    this.closed = true;
    globalThis.removeEventListener?.("online", this.wake);
    this.again();
  }

  /** End this attempt or this pause. */
  again() {
    this.control?.abort(new Error("given up"));
  }

  async run() {
    while (!this.closed) {
      const control = (this.control = new AbortController());
      const way = this.choose();
      this.opened = false;
      this.tell({ state: "connecting", transport: way });
      const end = await this.attempt(way, control).catch(({ message }) => ({ reason: message }));
      control.abort();
      this.ended?.();
      if (this.closed) return;
      if (this.final(end)) {
        this.stop();
        return this.tell({ state: "closed", code: end.code, reason: end.reason });
      }
      if (!this.opened) this.failures += 1;
      const retryIn = this.pause(end);
      this.control = new AbortController();
      if (retryIn) this.tell({ state: "offline", code: end.code, reason: end.reason, retryIn });
      await sleep(retryIn, this.control.signal);
    }
  }

  /** What has worked, for some tries; then one way after the other. */
  choose() {
    const known = this.ways.find((way) => way === recall(this));
    if (known && this.failures < TRIES) return known;
    return this.ways[(this.failures - (known ? TRIES : 0)) % this.ways.length];
  }

  open(way) {
    if (this.opened) return;
    this.opened = true;
    this.failures = 0;
    remember(this, way);
    this.tell({ state: "live", transport: way });
  }

  final({ code, final }) {
    if (RENEW.has(code) && typeof this.options.token === "function") return !this.opened && this.failures > 0;
    return final ?? FINAL.has(code);
  }

  pause({ code, pause = 0 }) {
    const least = code === TOO_MANY ? FIRST : pause;
    const next = !recall(this) && this.failures > 0 && this.failures < this.ways.length; // there is another way to try
    if (this.hurry || next) return (this.hurry = false) || least;
    return least + Math.random() * Math.min(LONGEST, FIRST * 2 ** this.failures);
  }

  async token() {
    const { token } = this.options;
    return typeof token === "function" ? token() : token;
  }

  async headers(others) {
    const token = await this.token();
    return { ...others, ...(token && { Authorization: `Bearer ${token}` }) };
  }

  /** A GET that should be answered with this type; otherwise `end` says what came of it. */
  async get(url, type, control, patience = 0) {
    const headers = await this.headers({ Accept: type });
    const { credentials } = this.options;
    const asked = fetch(url, { headers, credentials, signal: control.signal, cache: "no-store" });
    const answer = await within(OPENING + patience, control, asked);
    const { status, ok } = answer;
    if (status === 200 && answer.headers.get("content-type")?.startsWith(type)) return answer;
    if (ok || status === 406) return { end: { reason: `answered by REST (${status}): this is not live here` } };
    const problem = await answer.json().catch(() => null);
    const later = status >= 500 || status === 408 || status === 425 || status === 429;
    const pause = 1000 * (Number(answer.headers.get("retry-after")) || 0);
    return { end: { code: status, reason: problem?.detail ?? `the answer was ${status}`, final: !later, pause } };
  }

  /** A WebSocket from its opening to its end. */
  async websocket(url, control, opened, hear) {
    const token = await this.token();
    control.signal.throwIfAborted();
    url.protocol = url.protocol.replace("http", "ws");
    const bearer = token ? [`bearer.${base64url(token)}`] : [];
    return new Promise((resolve) => {
      const socket = new WebSocket(url, ["tidegate.json.v1", ...bearer]);
      const end = (how) => {
        clearTimeout(late);
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close();
        resolve(how);
      };
      const late = setTimeout(() => end({ reason: "no WebSocket in time" }), OPENING);
      socket.onopen = () => {
        clearTimeout(late);
        opened(socket);
      };
      socket.onmessage = ({ data }) => hear(JSON.parse(data));
      socket.onclose = ({ code, reason }) => end({ code, reason: reason || "the connection was lost" });
      control.signal.addEventListener("abort", () => end({ reason: "given up" }));
    });
  }
}

/** What worked is remembered for the tab, where a page may keep anything. */
const place = ({ kind, url }) => `tidegate ${kind} ${url.origin}`;
function recall(line) {
  try {
    return sessionStorage.getItem(place(line)) ?? undefined;
  } catch {
    return line.known;
  }
}
function remember(line, way) {
  line.known = way;
  try {
    sessionStorage.setItem(place(line), way);
  } catch {} // then it is for this line alone
}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const wake = () => resolve(clearTimeout(timer), signal.removeEventListener("abort", wake));
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake);
  });
}

/** What a promise brings, unless it takes too long: then the whole attempt is given up. */
async function within(ms, control, promise) {
  const timer = setTimeout(() => control.abort(new Error("nothing came in time")), ms);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function base64url(text) {
  return base64(new TextEncoder().encode(text)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The page's own function; its mistakes are the page's, and end no stream. */
function call(own, ...values) {
  try {
    own?.(...values);
  } catch (error) {
    queueMicrotask(() => { throw error; });
  }
}
