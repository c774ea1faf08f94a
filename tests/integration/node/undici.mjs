// A WebSocket over HTTP/2: opens, says what it is told to, closes with 4001, and prints each thing it hears as a line of JSON.
import { Agent, WebSocket } from "undici";

const [url, ca, words] = process.argv.slice(2);
const { readFileSync } = await import("node:fs");
const dispatcher = new Agent({ allowH2: true, connect: { ca: readFileSync(ca) } });
const say = (what) => console.log(JSON.stringify(what));
const socket = new WebSocket(url, { dispatcher });
socket.onopen = () => { say({ open: socket.protocol }); if (words) socket.send(words); };
socket.onmessage = (event) => { say({ message: event.data }); socket.close(4001, "bye"); };
socket.onerror = (event) => say({ error: String(event.error ?? event.message) });
socket.onclose = async (event) => {
  say({ code: event.code, reason: event.reason, clean: event.wasClean });
  await dispatcher.close();
};
