/** A reporter for node --test that notes in which files something failed, for `npm test -- --failed`; it prints nothing. */
import { appendFileSync } from "node:fs";
import { relative } from "node:path";

export default async function* failedFiles(events) {
  for await (const { type, data } of events) {
    if (type !== "test:fail" || data.file === undefined) continue;
    appendFileSync(process.env.HEADGATE_TEST_FAILED, `${relative(process.cwd(), data.file)}\n`);
    yield "";
  }
}
