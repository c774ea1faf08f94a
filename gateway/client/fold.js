// A state, made of the events that are heard: pure, and the same as gateway/core makes of them.
// The state that is given stays as it is; what an event does not touch is shared with the result.

/**
 * The state after an event; one that says nothing of the state leaves it alone. Throws where it does not fit.
 * @param {any} state @param {{type: string, data: any}} event
 * @param {string | string[]} [key] what tells items apart: the route's `items.key`
 */
export function fold(state, { type, data }, key = "id") {
  switch (type) {
    case "snapshot": return data;
    case "patch": return applyPatch(state, data);
    case "merge": return applyMerge(state, data);
    case "created": case "updated": case "moved": case "deleted": return foldItem(state ?? [], type, data, key);
    default: return state;
  }
}

function foldItem(state, type, data, key) {
  const items = [...state];
  const find = (wanted) => items.findLastIndex((item) => same(keyOf(item, key), wanted));
  const at = find(data.key);
  const [old] = at < 0 ? [] : items.splice(at, 1);
  if (type === "deleted") return items;
  if (type === "moved" && at < 0) throw new Error("what moved is not here");
  let place = at < 0 ? items.length : at;
  if (data.after === null) place = 0;
  else if (data.after !== undefined && !(place = find(data.after) + 1)) throw new Error("what it is after is not here");
  items.splice(place, 0, type === "moved" ? old : data.item);
  return items;
}

/** A document after the operations of an RFC 6902 patch, as the gateway makes them; throws where one does not fit. */
export function applyPatch(document, operations) {
  return operations.reduce((state, { op, path, value }) => {
    const steps = path.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    return change(state, steps, op, value);
  }, document);
}

function change(node, [step, ...rest], op, value) {
  if (step === undefined) return value;
  const list = Array.isArray(node);
  if (!list && !isObject(node)) throw new Error("the path leads nowhere");
  const copy = list ? [...node] : { ...node };
  const adds = op === "add" && !rest.length;
  const place = list && step === "-" ? copy.length : step;
  if (!has(node, place) && !(adds && (!list || Number(place) === node.length))) {
    throw new Error("the path does not exist");
  }
  if (rest.length) put(copy, place, change(copy[place], rest, op, value));
  else if (list) copy.splice(place, adds ? 0 : 1, ...(op === "remove" ? [] : [value]));
  else if (op === "remove") delete copy[place];
  else put(copy, place, value);
  return copy;
}

/** A document after an RFC 7396 merge patch. */
export function applyMerge(document, patch) {
  if (!isObject(patch)) return patch;
  const result = isObject(document) ? { ...document } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else put(result, name, applyMerge(member(result, name), value));
  }
  return result;
}

/** Set a member, also one that is called `__proto__`. */
function put(node, name, value) {
  Object.defineProperty(node, name, { value, writable: true, enumerable: true, configurable: true });
}

function keyOf(item, key) {
  if (Array.isArray(key)) return key.length === 1 ? keyOf(item, key[0]) : key.map((one) => keyOf(item, one));
  return key.split(".").reduce((value, name) => member(value, name) ?? null, item);
}

// Members and elements, but neither what is inherited nor an array's length.
const has = (node, name) => ({}).propertyIsEnumerable.call(node, name);
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const member = (value, name) => (isObject(value) && has(value, name) ? value[name] : undefined);
const same = (a, b) => a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));
