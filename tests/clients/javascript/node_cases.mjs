// What the client does when servers and connections fail, with servers of these cases' own.

import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { same, thrown } from "./cases.mjs";

export const nodeCases = {
  async "the token goes to no other server"({ KV }) {
    const other = await served((request, response) => response.end("{}"));
    for (const status of [301, 302, 303, 307, 308]) {
      const one = await served((request, response) =>
        response.writeHead(status, { Location: other.url }).end(),
      );
      const kv = new KV(one.url, { token: "s3cret" });
      for (const act of [() => kv.get("a"), () => kv.put("a", "b"), () => kv.watch("").next()]) {
        const error = await thrown(act);
        same([error.status, error.message.includes(other.url)], [status, true]);
      }
      same(
        one.requests.map(({ headers }) => headers.authorization),
        Array(3).fill("Bearer s3cret"),
      );
    }
    same(other.requests.length, 0);
  },

  async "the token may come from a function, and no error shows it"({ KV }) {
    let count = 0;
    const one = await served((request, response) =>
      response.writeHead(404).end('{"error":"Not found"}'),
    );
    const kv = new KV(`${one.url}/base/`, {
      token: async () => `token-${++count}`,
      headers: { "X-More": "1" },
    });
    await kv.get("a/b");
    await kv.get("..");
    same(
      one.requests.map(({ url, headers }) => [url, headers.authorization, headers["x-more"]]),
      [
        ["/base/v1/kv/a/b", "Bearer token-1", "1"],
        ["/base/v1/kv?key=..", "Bearer token-2", "1"],
      ],
    );
    for (const token of ["s3cret\n", "s3cret é"]) {
      const error = await thrown(() => new KV(one.url, { token }).get("a"));
      same([error.name, error.message.includes("s3cret")], ["TypeError", false]);
    }
    for (const options of [{ token: "s3cret" }, { headers: { authorization: "Basic s3cret" } }]) {
      const error = await thrown(() => new KV("http://kv.example.com", options));
      same([error.name, error.message.includes("insecure: true")], ["TypeError", true]);
      new KV("http://kv.example.com", { ...options, insecure: true });
      for (const host of ["localhost:1", "kv.localhost", "127.1.2.3", "[::1]"]) {
        new KV(`http://${host}`, options);
      }
    }
    const failing = new KV(one.url, {
      token: async () => {
        throw new Error("the issuer is down");
      },
    });
    const missing = await thrown(() => failing.get("a"));
    same([missing.status, missing.message], [0, "There is no token: the issuer is down"]);
    new KV("http://kv.example.com");
    for (const url of ["ftp://127.0.0.1", "http://user:s3cret@127.0.0.1", "http://127.0.0.1?a=b"]) {
      const error = await thrown(() => new KV(url));
      same([error.name, error.message.includes("s3cret")], ["TypeError", false]);
    }
  },

  async "a request has a time limit"({ KV }) {
    const one = await served(() => {});
    const error = await thrown(() => new KV(one.url, { timeout: 50 }).get("a"));
    same([error.name, error.status, one.requests.length < 2], ["KVError", 0, true]);
    const part = await served((request, response) => response.write("a part"));
    same((await thrown(() => new KV(part.url).get("a", { timeout: 300 }))).status, 0);
    let count = 0;
    const busy = async () => {
      count++;
      return new Response('{"error":"Busy"}', { status: 503, headers: { "Retry-After": "20" } });
    };
    const late = await thrown(() => new KV(one.url, { timeout: 50, fetch: busy }).get("a"));
    same([late.status, count], [503, 1]);
  },

  async "what does no harm twice is repeated after passing failures"({ KV }) {
    const failing = async (respond) => {
      let count = 0;
      return served((request, response) => {
        if (++count === 1) return respond(request, response);
        response.writeHead(200, { ETag: '"1"' }).end('{"data": 7}');
      });
    };
    const busy = (request, response) =>
      response.writeHead(503, { "Retry-After": "0" }).end('{"error":"Busy"}');
    const cut = (request) => request.socket.destroy();
    const half = (request, response) => {
      response.writeHead(200, { "Content-Length": "100" }).write("{");
      setTimeout(() => request.socket.destroy(), 20);
    };
    const idempotencyKey = true;
    const repeated = [
      (kv) => kv.get("a"),
      (kv) => kv.put("a", "b"),
      (kv) => kv.delete("a"),
      (kv) => kv.increment("a", 1, { idempotencyKey }),
      (kv) => kv.take("a", { idempotencyKey }),
    ];
    const isRepeated = async (respond, act) => {
      const one = await failing(respond);
      await act(new KV(one.url));
      const keys = one.requests.map(({ headers }) => headers["idempotency-key"]);
      same([keys.length, new Set(keys).size], [2, 1]);
    };
    const pairs = [busy, cut].flatMap((respond) => repeated.map((act) => [respond, act]));
    // The client does not read the bodies of the responses to other requests.
    pairs.push([half, repeated[0]], [half, repeated[3]], [half, repeated[4]]);
    await Promise.all(pairs.map((pair) => isRepeated(...pair)));
    const once = [
      (kv) => kv.put("a", "b", { ifVersion: "1" }),
      (kv) => kv.delete("a", { ifVersion: "1" }),
      (kv) => kv.increment("a"),
      (kv) => kv.take("a"),
      (kv) => kv.batch([]),
    ];
    for (const [respond, status] of [
      [busy, 503],
      [cut, 0],
    ]) {
      for (const act of once) {
        const one = await failing(respond);
        same((await thrown(() => act(new KV(one.url)))).status, status);
        same(one.requests.length, 1);
      }
    }
    const full = await served((request, response) =>
      response.writeHead(429, { "Retry-After": "31" }).end("{}"),
    );
    const error = await thrown(() => new KV(full.url).get("a"));
    same([error.status, error.retryAfter, full.requests.length], [429, 31, 1]);
  },

  async "a server of another kind is an error"({ KV }) {
    const page = await served((request, response) => response.end("<!doctype html>"));
    const error = await thrown(() => new KV(page.url).list());
    same([error.name, error.message], ["KVError", "This is not workertown-kv: <!doctype html>"]);
    const none = await served((request, response) => response.writeHead(404).end("<h1>None</h1>"));
    same((await thrown(() => new KV(none.url).get("a"))).status, 404);
  },

  async "an update gives up after its attempts, and starts again where a lifetime ended"({ KV }) {
    const lost = await served((request, response) => {
      const status = request.method === "PUT" ? 412 : 200;
      response.writeHead(status, { ETag: '"1"' }).end('{"error":"Precondition failed"}');
    });
    const error = await thrown(() => new KV(lost.url).update("a", () => 1, { attempts: 3 }));
    same([error.status, lost.requests.length], [412, 6]);
    const answers = [
      [200, "1", { ETag: '"1"', Expires: "Thu, 01 Jan 2026 00:00:00 GMT" }],
      [400, '{"error":"Invalid query","errors":[{"path":["expires_at"],"message":"It is past"}]}'],
      [404, '{"error":"Not found"}'],
      [200, "{}", { ETag: '"2"' }],
    ];
    const ended = await served((request, response) => {
      const [status, body, headers] = answers.shift();
      response.writeHead(status, headers).end(body);
    });
    const seen = [];
    await new KV(ended.url).update("a", (value) => seen.push(value));
    same(seen, [1, undefined]);
    same(ended.requests.at(-1).headers["if-none-match"], "*");
  },

  async "a watch connects again and continues after its last event"({ KV }) {
    const set = (key, id) =>
      `${id ? `id: ${id}\n` : ""}event: set\ndata: {"key":"${key}",\ndata: "value":"é☕"}\n\n`;
    const answers = [
      (response) => response.writeHead(503, { "Retry-After": "0" }).end("{}"),
      (response) => {
        response.writeHead(200);
        const bytes = Buffer.from(
          `retry: 7\n: hello\n\n${set("a")}id: 1\n\n${set("b", "2")}event: bookmark\nid: 3\ndata: {}\n\nevent: set\nid: 4\ndata: {"k`,
        );
        // In three pieces, of which one ends within a character and one within an event.
        const inCharacter = bytes.indexOf("☕") + 1;
        response.write(bytes.subarray(0, inCharacter));
        setTimeout(() => response.write(bytes.subarray(inCharacter)), 50);
        setTimeout(() => response.destroy(), 100);
      },
      (response) => response.writeHead(200).end(set("c", "5")),
      (response) => response.writeHead(200).end(set("d", "6")),
      (response) => response.writeHead(200).end("id: 7\nevent: reset\ndata: {}\n\n"),
      (response) => response.writeHead(200).end(set("e", "8")),
      (response) => response.writeHead(400).end('{"error":"This is no cursor"}'),
      (response) => response.writeHead(200).end("event: revoked\ndata: {}\n\n"),
    ];
    const one = await served((request, response) => answers.shift()(response));
    const seen = [];
    const failures = [];
    const onDisconnect = (error) => failures.push(`${error.name} ${error.status}`);
    const options = { initial: true, retryDelay: 1, onDisconnect };
    const error = await thrown(async () => {
      for await (const { event, key, value, cursor } of new KV(one.url).watch("é/", options)) {
        seen.push([event, key, cursor]);
        if (event === "set") same(value, "é☕");
      }
    });
    same([error.name, error.status], ["KVError", 401]);
    const none = undefined;
    same(seen, [
      ["set", "a", none],
      ["set", "b", "2"],
      ["bookmark", none, "3"],
      ["set", "c", "5"],
      ["set", "d", "6"],
      ["reset", none, none],
      ["set", "e", "8"],
      ["reset", none, none],
    ]);
    same(failures, ["KVError 503", "KVError 0"]);
    const cursors = one.requests.map(({ headers }) => headers["last-event-id"]);
    same(cursors, [none, none, "3", "5", "6", none, "8", none]);
    same(new Set(one.requests.map(({ url }) => url)).size, 1);
    same(one.requests[0].url, "/v1/changes?prefix=%C3%A9%2F&initial=true&values=true");
  },

  async "a watch gives up a connection that falls silent"({ KV }) {
    let count = 0;
    const one = await served((request, response) => {
      response.writeHead(200).write(`id: ${++count}\nevent: set\ndata: {"key":"a"}\n\n`);
    });
    const failures = [];
    const options = { silence: 200, retryDelay: 1, onDisconnect: (error) => failures.push(error) };
    for await (const { cursor } of new KV(one.url).watch("", options)) if (cursor >= "3") break;
    same(failures[0].message.includes("silent for 200 ms"), true);
    same(one.requests.length >= 3, true);
  },

  async "a watch fails where connecting again would not help"({ KV }) {
    for (const status of [400, 401, 403, 404, 406, 501]) {
      const one = await served((request, response) =>
        response.writeHead(status).end('{"error":"No"}'),
      );
      same((await thrown(() => new KV(one.url).watch("").next())).status, status);
      same(one.requests.length, 1);
    }
  },

  async "a watch asks the function for another token once the first has ended"({ KV }) {
    let count = 0;
    const events = (...names) => names.map((name) => `event: ${name}\ndata: {}\n\n`).join("");
    const one = await served((request, response) => {
      const isGood = request.headers.authorization === "Bearer token-2";
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.end(`retry: 1\n\n${isGood ? events("ready") : ""}${events("revoked")}`);
    });
    const kv = new KV(one.url, { token: () => `token-${++count}` });
    const watch = kv.watch("");
    same((await watch.next()).value.event, "ready");
    await watch.return();
    const others = new KV(one.url, { token: () => `other-${++count}` });
    same([(await thrown(() => others.watch("").next())).status, one.requests.length], [401, 4]);
    same((await thrown(() => new KV(one.url, { token: "a" }).watch("").next())).status, 401);
  },

  async "metadata of other programs need not be an object"({ KV }) {
    for (const metadata of ["v1", 5, true, [1], 0, false, ""]) {
      const one = await served((request, response) => {
        response.writeHead(200, { ETag: '"1"', "X-KV-Metadata": JSON.stringify(metadata) }).end("1");
      });
      const kv = new KV(one.url);
      for (const found of [await kv.entry("a"), await kv.take("a"), await kv.getWithMetadata("a")]) {
        same(found.metadata, metadata);
      }
    }
  },

  async "an update keeps the numbers of the metadata"({ KV }) {
    const metadata = '{"id":12345678901234567890,"n":1.0}';
    const one = await served((request, response) => {
      response.writeHead(200, { ETag: '"1"', "X-KV-Metadata": metadata }).end("1");
    });
    const kv = new KV(one.url);
    await kv.update("a", (number) => number + 1);
    same(one.requests.at(-1).headers["x-kv-metadata"], metadata);
    await kv.update("a", (number, entry) => {
      entry.metadata.n = 2;
      return number + 1;
    });
    same(JSON.parse(one.requests.at(-1).headers["x-kv-metadata"]).n, 2);
  },

  async "no change is missed while connections to a real server are cut"({ KV, kv, url, options }) {
    const sockets = new Set();
    const proxy = createTcpServer((socket) => {
      const upstream = connect(new URL(url).port, "127.0.0.1");
      sockets.add(socket);
      for (const [from, to] of [
        [socket, upstream],
        [upstream, socket],
      ]) {
        from.pipe(to);
        from.on("error", () => to.destroy()).on("close", () => to.destroy());
      }
    });
    const cut = () => {
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    };
    const port = await listening(proxy);
    const watching = new KV(`http://127.0.0.1:${port}`, options);
    const seen = [];
    for await (const { event, key } of watching.watch("cut/", { initial: true, retryDelay: 5 })) {
      if (event === "set") seen.push(key);
      if (event === "ready" && seen.length < 9) {
        cut();
        for (let i = 0; i < 3; i++) await kv.put(`cut/${seen.length + i}`, "x");
      }
      if (seen.length === 9) break;
    }
    same(
      seen,
      Array.from({ length: 9 }, (_, index) => `cut/${index}`),
    );
  },
};

async function served(respond) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push(request);
    respond(request, response);
  });
  return { url: `http://127.0.0.1:${await listening(server)}`, requests };
}

function listening(server) {
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve(server.address().port)),
  );
}
