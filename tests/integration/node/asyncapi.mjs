// Reads an AsyncAPI document on stdin, and prints what its own parser and validator have to say of it.
import { Parser } from "@asyncapi/parser";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { document, diagnostics } = await new Parser().parse(text);
console.log(JSON.stringify({
  diagnostics: diagnostics.filter(({ severity }) => severity < 2).map(({ code, message, path }) => ({ code, message, path })),
  channels: document?.channels().all().map((channel) => channel.address()),
  operations: document?.operations().all().map((operation) => [operation.id(), operation.action(), operation.messages().all().length]),
  servers: document?.servers().all().map((server) => server.url()),
  security: document?.operations().all().map((operation) => operation.security().flat().length),
}));
