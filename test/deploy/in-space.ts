import { spawnSync } from "node:child_process";
import type { TestContext } from "node:test";
import { execa } from "execa";
import { Space } from "../cluster/space.ts";
import { onExit } from "../helpers/cleanup.ts";

let spaces = 0;

/** Runs the body in a namespace of its own with a Postgres, and the Secret "database" for it. */
export async function inSpace(
  t: TestContext,
  body: (space: Space) => Promise<void>,
): Promise<void> {
  const name = `headgate-deploy-${process.pid}-${++spaces}`;
  await execa("kubectl", ["create", "namespace", name]);
  const remove = () => spawnSync("kubectl", ["delete", "namespace", name, "--wait=false"]);
  onExit(remove);
  const space = new Space(name, []);
  try {
    await space.apply("demo-postgres");
    await body(space);
  } catch (error) {
    t.diagnostic(await describe(space));
    throw error;
  } finally {
    remove();
  }
}

/** What a person would look at first when a test has failed. */
async function describe(space: Space): Promise<string> {
  const ask = ["pods,jobs", "events"].map((what) => space.kubectl("get", what));
  const answers = await Promise.allSettled(ask);
  return answers.map((each) => (each.status === "fulfilled" ? each.value : "")).join("\n");
}
