// Folds events as pages do: a JSON line {state, events, key} on stdin is answered by the state after them, or null.
//   node fold.mjs BUNDLE
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { fold } = await import(pathToFileURL(process.argv[2]));

for await (const line of createInterface({ input: process.stdin })) {
  const { state, events, key } = JSON.parse(line);
  const before = JSON.stringify(state);
  let answer;
  try {
    answer = { state: events.reduce((now, event) => fold(now, event, key), state) };
  } catch (error) {
    answer = { error: error.message };
  }
  if (JSON.stringify(state) !== before) answer = { error: "the state that was given has changed" };
  if ({}.polluted !== undefined) answer = { error: "a prototype was written to" };
  console.log(JSON.stringify(answer));
}
