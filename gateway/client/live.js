// Following one URL, over whichever transport gets through.

/**
 * @typedef {{id?: string, type: string, data: any, reset?: boolean}} LiveEvent
 * @typedef {{state: "connecting" | "live" | "stale" | "suspect" | "error" | "offline" | "closed", transport?: string,
 *   code?: number | string, reason?: string, since?: string, age?: number, upstream_status?: number, retry_at?: string,
 *   retryIn?: number}} Status `stale`, `suspect` and `error` are of the backend, and so is an `age` (seconds) of what is
 *   `live`; after `offline` another attempt follows in `retryIn` ms, after `closed` none.
 * @typedef {string | (() => string | Promise<string>)} Token a bearer token, or what gives a fresh one
 * @typedef {{
 *   mode?: "items" | "patch" | "merge" | "snapshot" | "notify", interval?: number, since?: string, state?: any, key?: string | string[],
 *   onchange?: (state: any, event: LiveEvent) => void, onmessage?: (data: any, event: LiveEvent) => void,
 *   onevent?: (event: LiveEvent) => void,
 *   onstatus?: (status: Status) => void,
 *   token?: Token, credentials?: RequestCredentials, transports?: ("websocket" | "sse" | "long_poll")[],
 * }} LiveOptions `interval` is in seconds; `key` is the route's `items.key`; `since` with `state` continues from what the page has kept
 */

const SILENCE = 60_000; // ms without a byte: two heartbeats, and some
const WAIT = 25; // seconds of a long poll, and the most that the gateway waits

/** Follow a live URL. @param {string | URL} url @param {LiveOptions} [options] @returns {Channel} */
export function live(url, options = {}) {
  const channel = new Channel(new URL(url, globalThis.location?.href), options);
  const stream = new Stream(channel, options.transports ?? Object.keys(WAYS));
  channel.leave = () => stream.stop();
  channel.again = () => stream.begin();
  stream.start();
  return channel;
}

/** A followed URL: `state` is its document, `position` the id to continue from, `status` how it stands. */
class Channel {
  constructor(url, options) {
    this.url = url;
    this.options = options;
    this.state = options.state;
    this.position = options.since ?? "";
    this.status = { state: "connecting" };
  }

  /** Stop following. */
  close() {
    this.leave();
    this.tell({ state: "closed" });
  }

  tell(status) {
    this.status = status;
    call(this.options.onstatus, status);
  }

  take(event) {
    const { id, type, data } = event;
    const { mode, key, onchange, onevent, onmessage } = this.options;
    call(onevent, event);
    if (type === "status") {
      const state = { ok: "live", recovered: "live" }[data.state] ?? data.state;
      return this.tell({ ...data, state, transport: this.status.transport });
    }
    try {
      // messages make no state that could be fetched anew: what is missing is for the page to know
      if (type === "gap" && mode !== "notify" && this.state !== undefined) throw new Error("events are missing");
      this.state = fold(this.state, event, key);
    } catch {
      this.position = ""; // begin again, with a snapshot
      return this.again();
    }
    if (id) {
      this.position = id;
      if (type === "message") call(onmessage, data, event);
      else if (type !== "position") call(onchange, this.state, event);
    }
  }
}

/** A channel over a connection of its own. */
class Stream extends Line {
  kind = "live";

  constructor(channel, ways) {
    super(channel.url, channel.options, ways);
    this.channel = channel;
  }

  /** Begin anew, without a pause. */
  begin() {
    this.hurry = true;
    this.again();
  }

  tell(status) {
    this.channel.tell(status);
  }

  async attempt(way, control) {
    this.farewell = null;
    return WAYS[way](this, control, (event) => {
      if (control.signal.aborted) return;
      this.open(way);
      if (event?.type === "close") this.farewell = event.data;
      else if (event) this.channel.take(event);
    });
  }

  /** How a stream over HTTP has ended. */
  end() {
    const { farewell } = this;
    return farewell ? { ...farewell, final: !farewell.reconnect } : { reason: "the stream ended" };
  }

  at(wait) {
    const url = new URL(this.url), { position, options } = this.channel;
    const interval = !wait && options.interval && `${options.interval}s`;
    for (const [name, value] of Object.entries({ since: position, mode: options.mode, interval, wait })) {
      if (value) url.searchParams.append(`live.${name}`, value);
    }
    return url;
  }
}

const WAYS = {
  websocket: (line, control, hear) => line.websocket(line.at(), control, () => hear(), hear),

  async sse(line, control, hear) {
    const answer = await line.get(line.at(), "text/event-stream", control);
    if (answer.end) return answer.end;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      const { value, done } = await within(line.opened ? SILENCE : OPENING, control, reader.read());
      if (done) return line.end();
      hear(); // a comment is a sign of life as well
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const { id, event, data } = Object.fromEntries(part.split("\n").map((row) => row.split(/: (.*)/s)));
        if (event) hear({ id, type: event, data: JSON.parse(data) });
      }
    }
  },

  async long_poll(line, control, hear) {
    while (!line.farewell) {
      const wait = line.opened ? WAIT : 1; // soon known to work
      const answer = await line.get(line.at(wait), "application/json", control, wait * 1000);
      if (answer.end) return answer.end;
      const { events, next } = await within(OPENING, control, answer.json());
      if (!Array.isArray(events)) return { reason: "answered by REST: this is not live here" };
      hear();
      events.forEach(hear);
      if (control.signal.aborted) break; // by an event that did not fit
      line.channel.position = next;
      const { interval } = line.options; // which polls keep by themselves
      if (interval && events.length) await sleep(interval * 1000, control.signal);
    }
    return line.end();
  },
};
