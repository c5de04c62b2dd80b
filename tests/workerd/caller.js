// Makes the calls of `env.KV` that a request asks for, one after the other, and tells what a Worker
// sees of each: {"value": …} or {"error": …}. What JSON has not is an object that says its kind.

const LONG = 2000;

export default {
  async fetch(request, env) {
    const told = [];
    for (const call of await request.json()) {
      told.push(await outcome(env[call.binding ?? "KV"], call));
    }
    return Response.json(told);
  },
};

async function outcome(kv, { method, args }) {
  try {
    const given = args.map((arg) => (arg?.make ? MAKE[arg.make](arg) : arg));
    return { value: await shown(await kv[method](...given)) };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
}

const MAKE = {
  undefined: () => undefined,
  array: ({ base64 }) => bytes(base64),
  buffer: ({ base64 }) => bytes(base64).buffer,
  view: ({ base64 }) => new DataView(bytes(base64).buffer, 1, 2),
  repeated: ({ text, times }) => text.repeat(times),
  // Of a length that is known, as an answer of fetch() has one.
  stream: ({ base64 }) => new Response(bytes(base64)).body,
  // Of a length that nobody knows, in several pieces.
  pieces: ({ text, times }) => {
    const piece = new TextEncoder().encode(text);
    let left = times;
    return new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(piece);
        else controller.close();
      },
    });
  },
  // Of which the second half never comes.
  broken: ({ text }) => {
    const halves = [new TextEncoder().encode(text)];
    return new ReadableStream({
      pull(controller) {
        if (halves.length) controller.enqueue(halves.pop());
        else controller.error(new Error("The other half is missing"));
      },
    });
  },
};

function bytes(base64) {
  return Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
}

async function shown(value) {
  if (value === undefined) return { undefined: true };
  if (value instanceof Map) {
    const pairs = [...value].map(async ([key, one]) => [key, await shown(one)]);
    return { map: await Promise.all(pairs) };
  }
  if (value instanceof ReadableStream) {
    return { stream: await shownBytes(await new Response(value).arrayBuffer()) };
  }
  if (value instanceof ArrayBuffer) return { buffer: await shownBytes(value) };
  if (typeof value === "string" && value.length > LONG) {
    return { text: await shownBytes(new TextEncoder().encode(value)) };
  }
  if (typeof value === "object" && value !== null && "value" in value && "metadata" in value) {
    return { ...value, value: await shown(value.value) };
  }
  return value;
}

async function shownBytes(value) {
  if (value.byteLength <= LONG) return { base64: btoa(String.fromCharCode(...new Uint8Array(value))) };
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", value));
  const sha256 = [...digest].map((one) => one.toString(16).padStart(2, "0")).join("");
  return { size: value.byteLength, sha256 };
}
