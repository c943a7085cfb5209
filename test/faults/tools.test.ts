import assert from "node:assert/strict";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { eventually } from "../helpers/eventually.ts";
import { type ProxyHook, startProxy } from "../helpers/proxy.ts";
import { isComplete } from "./wire.ts";

/** A client of a server that says everything back, with a proxy between them. */
async function connectToEcho(
  t: TestContext,
  hook: ProxyHook,
): Promise<{ client: Socket; heard: () => string; held: () => number }> {
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket)).listen(0);
  await once(server, "listening");
  t.after(() => server.close());
  const proxy = await startProxy((server.address() as AddressInfo).port, hook);
  t.after(() => proxy.stop());
  const client = createConnection(proxy.port, "127.0.0.1");
  let heard = "";
  client.on("data", (bytes) => (heard += bytes.toString())).on("error", () => {});
  await once(client, "connect");
  return { client, heard: () => heard, held: () => proxy.held };
}

test("a proxy tells each moment of each burst, and holds everything back until it may go on", async (t) => {
  const told: string[] = [];
  const gate = Promise.withResolvers<"forward">();
  const { client, heard, held } = await connectToEcho(t, (moment, burst, bytes) => {
    told.push(`${moment} ${burst} ${bytes.toString()}`);
    return moment === "asked" && burst === 2 ? gate.promise : undefined;
  });
  client.write("one");
  await eventually("the first answer came", () => heard() === "one");
  client.write("two");
  await eventually("the second answer is held back", () => held() === 1);
  assert.equal(heard(), "one");
  gate.resolve("forward");
  await eventually("the second answer came", () => heard() === "onetwo");
  assert.deepEqual(
    told,
    ["one", "two"].flatMap((text, index) =>
      ["asking", "asked", "answering", "answered"].map(
        (moment) => `${moment} ${index + 1} ${text}`,
      ),
    ),
  );
});

test("a proxy drops the bytes it is told to drop, and no others", async (t) => {
  let dropped = 0;
  const { client, heard } = await connectToEcho(t, async (moment, _, bytes) => {
    if (moment !== "asking" || bytes.toString() !== "two") return "forward";
    dropped++;
    return "drop";
  });
  client.write("one");
  await eventually("the first answer came", () => heard() === "one");
  client.write("two");
  await eventually("the second burst was dropped", () => dropped === 1);
  client.write("three");
  await eventually("what followed was answered", () => heard() === "onethree");
});

test("an answer is complete when the server waits for the client", () => {
  const message = (type: string, body: Buffer): Buffer => {
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeUInt32BE(4 + body.length, 1);
    return Buffer.concat([head, body]);
  };
  const code = (value: number): Buffer => Buffer.from([0, 0, 0, value]);
  const ready = message("Z", Buffer.from("I"));
  const saslContinue = message("R", Buffer.concat([code(11), Buffer.from("more")]));
  const saslFinal = message("R", Buffer.concat([code(12), Buffer.from("more")]));
  const row = message("D", Buffer.from("Z of some row"));
  assert.ok(isComplete(Buffer.concat([row, ready])));
  assert.ok(isComplete(saslContinue));
  assert.ok(isComplete(Buffer.concat([saslFinal, message("R", code(0)), ready])));
  assert.ok(!isComplete(row));
  assert.ok(!isComplete(saslFinal));
  assert.ok(!isComplete(Buffer.concat([row, ready.subarray(0, -1)])));
  assert.ok(!isComplete(Buffer.alloc(0)));
});
