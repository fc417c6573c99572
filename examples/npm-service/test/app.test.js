import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { longestText, newApp } from "../src/app.js";

let server;
let address;

before(async () => {
  server = newApp().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  address = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

const cases = [
  ["health", "GET", "/healthz", undefined, 200, '"ok"'],
  [
    "summary",
    "POST",
    "/v1/summary",
    "grüß dich",
    200,
    '{"words":2,"characters":9,"sha256":"04912357731daba88ae9c93116f388313f25dac0b61f2cd5ba463399ae3c902c"}',
  ],
  ["no UTF-8", "POST", "/v1/summary", Buffer.from([0xff]), 415, '{"error":"the text is not UTF-8"}'],
  ["too long", "POST", "/v1/summary", "a".repeat(longestText + 1), 413, '{"error":"the text is longer than 1 MiB"}'],
];

for (const [name, method, path, body, status, want] of cases)
  test(name, async () => {
    const response = await fetch(address + path, { method, body });
    assert.equal(response.status, status);
    assert.equal(await response.text(), want);
  });

test("an unknown route is not found", async () => {
  assert.equal((await fetch(`${address}/v1/summary`)).status, 404);
});

test("metrics count requests", async () => {
  const before = await count();
  await fetch(`${address}/healthz`);
  assert.equal(await count(), before + 1);
});

const count = async () => {
  const metrics = await (await fetch(`${address}/metrics`)).text();
  return Number(/^npm_service_requests_total\{route="\/healthz",status="200"\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
};
