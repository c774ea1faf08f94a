// One session of npm's ws: sends each line of stdin, tells each message on stdout; the end of stdin closes it.
//   node session.mjs URL
import { createInterface } from "node:readline";
import WebSocket from "ws";

const socket = new WebSocket(process.argv[2]);
socket.on("message", (data) => console.log(String(data)));
socket.on("close", (code) => {
  console.log(JSON.stringify({ op: "close", code }));
  process.stdin.destroy();
});
socket.on("error", (error) => console.error(String(error)));
createInterface({ input: process.stdin })
  .on("line", (line) => socket.send(line))
  .on("close", () => socket.close(1000));
