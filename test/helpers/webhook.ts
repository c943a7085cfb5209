import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** An address where something answers, until the test ends. */
export async function listen(t: TestContext, answer: RequestListener): Promise<string> {
  const http = createServer(answer);
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    http.close();
    http.closeAllConnections();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}/services/T0/not-to-be-told`;
}

/** A webhook that keeps what it is sent. */
export async function webhook(t: TestContext): Promise<{ url: string; told: string[] }> {
  const told: string[] = [];
  const url = await listen(t, (request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      told.push((JSON.parse(body) as { text: string }).text);
      response.end("ok");
    });
  });
  return { url, told };
}
