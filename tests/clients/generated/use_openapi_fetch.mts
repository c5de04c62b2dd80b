// Uses a store by openapi-fetch, with the types that openapi-typescript has generated.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated.js";

type Schemas = components["schemas"];
const [url, token] = process.argv.slice(2);
const options = { baseUrl: url, headers: { Authorization: `Bearer ${token}` } };
const client = createClient<paths, "application/json">(options);
const bytes = createClient<paths, "application/octet-stream">(options);
const either = createClient<paths>(options);
const key = "a/b c%20?#é";

// The native API
const one = { params: { path: { key } } };
const metadata = { from: "web" };
const set = await client.PUT("/v1/kv/{key}", {
  ...one,
  body: { value: { x: [1, null] }, ttl: 3600, metadata },
});
assert.ok(set.data);
const version = set.response.headers.get("ETag");
const got = await client.GET("/v1/kv/{key}", one);
assert.deepEqual(got.data?.data, { x: [1, null] });
const page: Schemas["KeyPage"] | undefined = (
  await client.GET("/v1/kv", { params: { query: { prefix: "a/", limit: 10 } } })
).data?.data;
assert.ok(page);
assert.deepEqual(
  page.keys.map((one) => [one.key, `"${one.version}"`, one.metadata]),
  [[key, version, metadata]],
);
assert.equal(page.cursor, null);
const batch = await client.POST("/v1/kv", {
  body: {
    operations: [
      { op: "set", key: "b", value: null },
      { op: "get", key },
      { op: "set", key: "b", value: 1, if_version: "x" },
      { op: "delete", key: "b" },
    ],
  },
});
const results: Schemas["BatchResult"][] = batch.data?.data ?? [];
assert.equal(results.length, 4);
const [, read, failed] = results;
assert.deepEqual(read.value, { x: [1, null] });
assert.equal(failed.status, 412);
// With `take`, the data is the value instead.
const deleted: unknown = (await client.DELETE("/v1/kv/{key}", one)).data?.data;
assert.equal(deleted, true);
const missing = await client.GET("/v1/kv/{key}", one);
const words: string | undefined = missing.error?.error;
assert.equal(words, "Not found");
// @ts-expect-error: an operation has a name that is known
await client.POST("/v1/kv", { body: { operations: [{ op: "gett", key }] } });

// Cloudflare's REST API
const path = { account_id: "me", namespace_id: "0".repeat(32) };
const value = "/client/v4/accounts/{account_id}/storage/kv/namespaces/{namespace_id}/values/{key_name}";
const place = { params: { path: { ...path, key_name: key } } };
const put = await either.PUT(value, {
  ...place,
  body: "raw",
  bodySerializer: (body) => body,
  headers: { "Content-Type": "application/octet-stream" },
});
assert.equal(put.data?.success, true);
const raw: string | undefined = (await bytes.GET(value, { ...place, parseAs: "text" })).data;
assert.equal(raw, "raw");
const spaces = "/client/v4/accounts/{account_id}/storage/kv/namespaces";
const bulk = await client.PUT(`${spaces}/{namespace_id}/bulk`, {
  params: { path },
  body: [{ key: "t", value: "text", expiration_ttl: 3600, metadata: [1] }],
});
assert.equal(bulk.data?.result.successful_key_count, 1);
const keys = await client.GET(`${spaces}/{namespace_id}/keys`, { params: { path } });
assert.deepEqual(
  keys.data?.result.map((one) => one.name),
  [key, "t"],
);
assert.equal(keys.data?.result_info.cursor, "");
const many = await client.POST(`${spaces}/{namespace_id}/bulk/get`, {
  params: { path },
  body: { keys: ["t", "none"] },
});
assert.deepEqual(many.data?.result.values, { t: "text", none: null });
assert.equal((await client.DELETE(value, place)).data?.success, true);
const gone = await client.GET(value, place);
assert.equal(gone.error?.errors[0].code, 10009);
