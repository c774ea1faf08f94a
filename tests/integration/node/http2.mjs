// One HTTP/2 connection by Node's own client: asks for each path (and what it accepts) that comes as a line, and prints each thing it hears as a line of JSON.
import { connect } from "node:http2";
import { createInterface } from "node:readline";

const say = (what) => console.log(JSON.stringify(what));
const session = connect(process.argv[2]);
session.on("goaway", (code, last) => say({ goaway: code, last }));
session.on("error", (error) => say({ error: error.code ?? error.message }));
session.on("close", () => { say({ closed: true }); process.exit(0); });
createInterface({ input: process.stdin }).on("line", (line) => {
  const [path, accept] = line.split(" ");
  const stream = session.request(accept ? { ":path": path, accept } : { ":path": path });
  let body = "";
  stream.on("response", (headers) => say({ path, status: headers[":status"] }));
  stream.on("data", (data) => { body += data; if (accept) say({ path, begun: body }); });
  stream.on("end", () => { if (!stream.rstCode) say({ path, body }); });
  stream.on("error", (error) => say({ path, error: error.code, code: stream.rstCode }));
  say({ asked: path });
});
