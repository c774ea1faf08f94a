// A WebSocket backend: echoes, and closes with the code that a text message "close CODE REASON" names.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true, maxPayload: 64 * 1024 * 1024 });
server.on("listening", () => console.log(`listening ${server.address().port}`));
server.on("connection", (socket) => {
  socket.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
  socket.on("message", (data, binary) => {
    const [word, code, reason] = binary ? [] : data.toString().split(" ");
    if (word === "close") socket.close(Number(code), reason);
    else socket.send(data, { binary });
  });
});
