/**
 * The demo's image as three releases: without its last migration, as it is, and with one more that fails. Those with a
 * migrator of another tool are built by migrator-images.ts.
 */
import { readdirSync } from "node:fs";
import { execa } from "execa";

export const root = new URL("../..", import.meta.url).pathname;
export const files = readdirSync(`${root}migrations`)
  .filter((name) => name.endsWith(".sql"))
  .toSorted();
export const brokenFile = `${files.length + 1}_broken.sql`;

export const image = "headgate-demo";
export const tags = {
  old: "test-cluster-old",
  now: "test-cluster",
  broken: "test-cluster-broken",
  alembic: "test-cluster-alembic",
  "alembic-broken": "test-cluster-alembic-broken",
  knex: "test-cluster-knex",
} as const;
export type Release = keyof typeof tags;

/** Builds them with the `docker` here. */
export async function buildImages(): Promise<void> {
  const build = async (release: Release, args: string[], input = ""): Promise<void> => {
    const name = `${image}:${tags[release]}`;
    await execa("docker", ["build", "--quiet", "--tag", name, ...args], { cwd: root, input });
  };
  const change = (command: string): string =>
    `FROM ${image}:${tags.now}\nUSER root\nRUN ${command}\nUSER 1000:1000\n`;
  await build("now", ["--file", "docker/Dockerfile", "--target", "demo", "."]);
  await build(
    "old",
    ["-"],
    change(`rm migrations/${files.at(-1)} migrations/undo/${files.at(-1)}`),
  );
  const broken = "-- fails\\nALTER TABLE nots ADD COLUMN likes int;\\n";
  await build("broken", ["-"], change(`printf -- '${broken}' > migrations/${brokenFile}`));
}
