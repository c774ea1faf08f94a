// The same list twice: fetched by REST, and kept up to date by a stream of events.
//
// Each side shows only what its own way of asking has brought. Every edit is a REST request; the page then
// measures how long each side takes to show it. The live side is `live(url)` of the gateway's own client, on the URL
// that REST uses: it connects, resumes and keeps the list; `new WebSocket(url)` or `new EventSource(url)` would do too.

const PATH = "/api/shirts";
const CLIENT = "/.tidegate/client.js";

const $ = (selector, root = document) => root.querySelector(selector);
const utf8 = new TextEncoder();

/** A shirt as text, for comparing: the same whatever the order of its fields. */
const text = (shirt) => shirt && JSON.stringify(Object.entries(shirt).sort());

/** One of the two panes: its table, its counters, and the edits that it has yet to show. */
class Pane {
  constructor(root) {
    this.root = root;
    this.body = $("tbody", root);
    this.rows = new Map();
    this.requests = 0;
    this.bytes = 0;
    this.right = null; // when the list was last known to be right; null: never
    this.current = false; // whether it is known to be right now
    this.awaited = new Map();
  }

  /** Take a whole list. */
  show(shirts) {
    const first = this.right === null;
    const here = new Set(shirts.map((shirt) => shirt.id));
    for (const id of [...this.rows.keys()]) if (!here.has(id)) this.drop(id);
    for (const shirt of shirts) this.put(shirt, !first);
  }

  /** Take one shirt, new or changed. */
  put(shirt, flash = true) {
    const known = this.rows.get(shirt.id), shown = text(shirt);
    this.seen(shirt.id, shown);
    if (known?.shown === shown) return;
    const row = known?.row ?? this.insert(shirt.id);
    this.rows.set(shirt.id, { row, shown });
    paint(row, shirt);
    if (flash) again(row, "flash");
  }

  drop(id) {
    this.seen(id, null);
    const known = this.rows.get(id);
    if (!known) return;
    this.rows.delete(id);
    known.row.classList.add("going");
    setTimeout(() => known.row.remove(), 500);
  }

  insert(id) {
    const row = $("#row").content.firstElementChild.cloneNode(true);
    row.dataset.id = id;
    const next = [...this.body.children].find((other) => Number(other.dataset.id) > id);
    this.body.insertBefore(row, next ?? null);
    return row;
  }

  /** An edit was made at `since`: shirt `id` will read `shown` here (null: it will be gone). */
  expect(id, shown, since) {
    if ((this.rows.get(id)?.shown ?? null) === shown) this.lag(since);
    else this.awaited.set(id, { shown, since });
  }

  seen(id, shown) {
    const edit = this.awaited.get(id);
    if (edit?.shown !== shown) return;
    this.awaited.delete(id);
    this.lag(edit.since);
  }

  lag(since) {
    this.write("lag", duration(performance.now() - since));
  }

  confirm() { this.right = performance.now(); }

  tick() {
    if (this.current) this.confirm();
    this.write("requests", this.requests.toLocaleString("en"));
    this.write("bytes", size(this.bytes));
    this.write("age", this.right === null ? "–" : this.current ? "up to date" : duration(performance.now() - this.right));
    $("[data-count=age]", this.root).classList.toggle("good", this.current);
  }

  write(counter, text) {
    const cell = $(`[data-count=${counter}]`, this.root);
    if (cell.textContent !== text) cell.textContent = text;
  }

  /** `kind` is good, warn or bad; `notice` a sentence about what is wrong, if anything is. */
  state(kind, word, notice = "") {
    this.root.dataset.state = kind;
    const label = $(".word", this.root), box = $(".notice", this.root);
    if (label.textContent !== word) label.textContent = word;
    box.textContent = notice;
    box.hidden = !notice;
    box.classList.toggle("bad", kind === "bad");
  }
}

/** The left side: asks when told to, and every so often. */
class Rest {
  constructor(pane) {
    this.pane = pane;
    this.timer = 0;
    this.busy = false;
  }

  every(seconds) {
    clearInterval(this.timer);
    if (seconds) this.timer = setInterval(() => this.refresh(), seconds * 1000);
  }

  async refresh() {
    if (this.busy) return;
    this.busy = true;
    this.pane.requests += 1;
    try {
      const answer = await fetch(PATH, { cache: "no-cache", headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
      this.pane.show(await answer.json());
      this.pane.confirm();
      this.pane.state("good", "fetched");
    } catch (error) {
      this.pane.state("bad", "failed", `The last request failed: ${error.message}.`);
    } finally {
      this.busy = false;
    }
  }
}

/** The right side: what the gateway's client is told, over the transport that was chosen. */
class Live {
  constructor(pane) {
    this.pane = pane;
    this.events = 0;
    this.last = 0;
    this.channel = null;
  }

  /** Follow the list from where it is. */
  async open(transport) {
    const turn = (this.turn = {}), mine = (act) => (...told) => this.turn === turn && act(...told);
    const client = await import(CLIENT).catch(() => null);
    if (this.turn !== turn) return;
    if (!client) return this.pane.state("bad", "failed", "There is no gateway here: it serves the client.");
    const { position: since, state } = this.channel ?? {};
    this.channel?.close();
    this.channel = client.live(PATH, {
      transports: [transport], mode: "items", since, state,
      onevent: mine((event) => this.heard(event)),
      onchange: mine((shirts) => this.take(shirts)),
      onstatus: mine((status) => this.status(status)),
    });
  }

  heard(event) {
    this.pane.bytes += utf8.encode(JSON.stringify(event)).length;
    this.events += 1;
    this.last = performance.now();
  }

  take(shirts) {
    this.pane.show(shirts);
    if (this.pane.root.dataset.state !== "good") return;
    this.pane.current = true;
    this.pane.confirm();
  }

  /** How the stream stands, and the gateway's source: it goes on telling, also of the time when the shop is down. */
  status({ state, since, reason, retryIn }) {
    const { pane } = this;
    pane.current = state === "live" && pane.right !== null;
    if (state === "live") return pane.state("good", "live");
    if (state === "connecting") {
      pane.requests += 1;
      return pane.state("warn", "connecting", $(".notice", pane.root).textContent);
    }
    if (state === "closed") return pane.state("bad", "closed", `The stream was ended: ${reason || "no reason given"}.`);
    if (state === "offline") {
      const cut = "The stream was cut. It continues where it ended as soon as the gateway answers.";
      return pane.state("bad", `again in ${duration(retryIn)}`, cut);
    }
    const when = since ? ` since ${new Date(since).toLocaleTimeString()}` : "";
    const why = reason ? ` (${reason})` : "";
    const held = state === "stale" ? " The list is as it was then; the gateway keeps trying." : "";
    pane.state("warn", "shop down", `The shop has been failing${when}${why}.${held}`);
  }

  tick() {
    const quiet = this.last ? `, the last one ${duration(performance.now() - this.last)} ago` : "";
    $("#events").textContent = this.events
      ? `${this.events.toLocaleString("en")} ${this.events === 1 ? "event" : "events"}${quiet}` : "No event yet.";
  }
}

function paint(row, shirt) {
  const title = `${shirt.name}, ${shirt.size}`;
  $(".name", row).textContent = shirt.name;
  $(".kind", row).textContent = `${shirt.size} · ${shirt.colour}`;
  $(".shirt", row).style.fill = CSS.supports("color", shirt.colour) ? shirt.colour : "gray";
  $(".stock", row).textContent = shirt.stock;
  $(".stock", row).classList.toggle("none", shirt.stock === 0);
  const price = $(".price", row);
  if (price !== document.activeElement) price.value = (shirt.price / 100).toFixed(2);
  price.ariaLabel = `Price of ${title} in euros`;
  $(".less", row).disabled = shirt.stock === 0;
  $(".less", row).ariaLabel = `One ${title} less`;
  $(".more", row).ariaLabel = `One ${title} more`;
  $(".delete", row).ariaLabel = `Delete ${title}`;
}

function again(element, name) {
  element.classList.remove(name);
  void element.offsetWidth; // restarts the animation
  element.classList.add(name);
}

function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(2)} MB`;
}

const rest = new Rest(new Pane($("#rest")));
const live = new Live(new Pane($("#live")));
const panes = [rest.pane, live.pane];

let queue = Promise.resolve();

/** Edits go out one after the other: two quick clicks must not overtake each other. */
function edit(method, path, body) {
  queue = queue.then(() => told(`${method} ${path}`, () => send(method, path, body)));
}

/** Change a shirt by what it is now, which neither side may show yet: read, then write if it is still so. */
function adjust(path, fields) {
  queue = queue.then(() => told(`PATCH ${path}`, async () => {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await request("GET", path);
      const etag = answer.headers.get("ETag");
      try {
        return await send("PATCH", path, fields(await answer.json()), etag ? { "If-Match": etag } : {});
      } catch (error) {
        if (error.status !== 412 || attempt === 5) throw error;
      }
    }
  }));
}

async function send(method, path, body, headers = {}) {
  const began = performance.now();
  const answer = await request(method, path, body, headers);
  const result = answer.status === 204 ? null : await answer.json();
  const id = result?.id ?? Number(path.split("/").pop());
  for (const pane of panes) pane.expect(id, text(result), began);
  return answer.status;
}

async function request(method, path, body, headers = {}) {
  const type = body ? { "Content-Type": "application/json" } : {};
  const answer = await fetch(path, { method, body: body && JSON.stringify(body), headers: { ...type, ...headers } });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  const message = problem.error?.message ?? problem.detail ?? `the answer was ${answer.status}`;
  throw Object.assign(new Error(message), { status: answer.status });
}

async function told(what, act) {
  try {
    say(`${what}: ${await act()}`);
  } catch (error) {
    say(`${what}: ${error.message}`, true);
  }
}

function say(text, bad = false) {
  $("#said").textContent = text;
  $("#said").classList.toggle("bad", bad);
}

function onClick(button) {
  const path = button && `${PATH}/${button.closest("tr").dataset.id}`;
  if (button?.matches(".more")) adjust(path, ({ stock }) => ({ stock: stock + 1 }));
  if (button?.matches(".less")) adjust(path, ({ stock }) => ({ stock: Math.max(0, stock - 1) }));
  if (button?.matches(".delete")) edit("DELETE", path);
}

function onPrice(input) {
  const path = `${PATH}/${input.closest("tr").dataset.id}`;
  if (!input.reportValidity()) return;
  input.value = input.valueAsNumber.toFixed(2);
  edit("PATCH", path, { price: Math.round(input.valueAsNumber * 100) });
}

for (const pane of panes) {
  pane.body.addEventListener("click", (event) => onClick(event.target.closest("button")));
  pane.body.addEventListener("change", (event) => onPrice(event.target));
}

$("#add").addEventListener("submit", (event) => {
  event.preventDefault();
  const { name, size, colour, price, stock } = event.target.elements;
  edit("POST", PATH, {
    name: name.value.trim(), size: size.value, colour: colour.value,
    price: Math.round(price.valueAsNumber * 100), stock: stock.valueAsNumber,
  });
  name.value = "";
});
$("#refresh").addEventListener("click", () => rest.refresh());
$("#every").addEventListener("change", ({ target }) => rest.every(Number(target.value)));
for (const choice of document.querySelectorAll("[name=transport]")) {
  choice.addEventListener("change", () => live.open(choice.value));
}

// What came over the wire for the list, headers included: little for a 304, as the browser has the body already.
new PerformanceObserver((entries) => {
  for (const entry of entries.getEntries()) {
    const { pathname, search } = new URL(entry.name); // streams have a query
    const list = entry.initiatorType === "fetch" && pathname === PATH && !search;
    if (list && entry.responseStatus !== 201) rest.pane.bytes += entry.transferSize || entry.encodedBodySize;
  }
}).observe({ type: "resource", buffered: true });

$("#curl").textContent =
  `curl -X PATCH ${location.origin}${PATH}/2 -H 'Content-Type: application/json' -d '{"stock": 42}'`;
setInterval(() => { for (const part of [...panes, live]) part.tick(); }, 200);
rest.every(Number($("#every").value));
rest.refresh();
live.open($("[name=transport]:checked").value);
