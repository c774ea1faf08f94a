// One stream of one npm client, told on stdout as a JSON line for each event; a line on stdin closes it.
//   node client.mjs ws|ws-msgpack|eventsource URL '{"header": "value"}'
import { createInterface } from "node:readline";
import { decode } from "@msgpack/msgpack";
import { EventSource } from "eventsource";
import WebSocket from "ws";

const [kind, url, headers] = [process.argv[2], process.argv[3], JSON.parse(process.argv[4] ?? "{}")];
const tell = (message) => console.log(JSON.stringify(message));

function openWebSocket(protocols) {
  const socket = new WebSocket(url, protocols, { headers });
  socket.on("message", (data, binary) => tell(binary ? decode(data) : JSON.parse(data)));
  socket.on("close", (code, reason) => tell({ type: "close", data: { code, reason: String(reason) } }));
  socket.on("unexpected-response", (request, response) => {
    tell({ type: "refused", data: { status: response.statusCode } });
    request.destroy();
  });
  socket.on("error", (error) => console.error(String(error)));
  return () => socket.close(1000);
}

function openEventSource() {
  const withHeaders = (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } });
  const source = new EventSource(url, { fetch: withHeaders });
  for (const type of ["snapshot", "patch", "created", "updated", "deleted", "message", "status", "gap"]) {
    source.addEventListener(type, (event) => tell({ type, id: event.lastEventId, data: JSON.parse(event.data) }));
  }
  source.addEventListener("open", () => tell({ type: "status", data: { open: true } }));
  source.addEventListener("error", (event) => console.error(event.code ?? "", event.message ?? ""));
  return () => {
    source.close();
    tell({ type: "close", data: { code: 1000 } });
  };
}

const kinds = {
  ws: () => openWebSocket([]),
  "ws-msgpack": () => openWebSocket(["tidegate.msgpack.v1"]),
  eventsource: openEventSource,
};
const close = kinds[kind]();
const input = createInterface({ input: process.stdin });
input.once("line", () => {
  process.stdin.destroy();
  close();
});
