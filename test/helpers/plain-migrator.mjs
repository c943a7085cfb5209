/**
 * A migrator as many are: applies the files of the folder "steps" in its working directory, in order, each in a
 * transaction, and has no lock of any kind. Node runs a file called *.mjs instead, so that a test can do what it likes.
 * The table "log" tells when each step began and ended, also of one that was rolled back.
 */
import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import pg from "pg";

const connect = async () => {
  const client = new pg.Client({ connectionString: process.env["DATABASE_URL"] });
  await client.connect();
  return client;
};
const client = await connect();
const diary = await connect();
await client.query("CREATE TABLE IF NOT EXISTS steps_done (name text PRIMARY KEY)");
await diary.query(
  "CREATE TABLE IF NOT EXISTS log (name text, pid int, began timestamptz DEFAULT clock_timestamp(), ended timestamptz)",
);
const { rows } = await client.query("SELECT name FROM steps_done");
for (const name of readdirSync("steps").toSorted()) {
  if (rows.some((row) => row.name === name)) continue;
  console.log(`applying ${name}`);
  await diary.query("INSERT INTO log VALUES ($1, $2)", [name, client.processID]);
  const file = `steps/${name}`;
  if (name.endsWith(".mjs")) await (await import(pathToFileURL(file).href)).default(client);
  else {
    await client.query("BEGIN");
    await client.query(readFileSync(file, "utf8"));
    await client.query("INSERT INTO steps_done VALUES ($1)", [name]);
    await client.query("COMMIT");
  }
  await diary.query("UPDATE log SET ended = clock_timestamp() WHERE name = $1 AND pid = $2", [
    name,
    client.processID,
  ]);
}
await client.end();
await diary.end();
console.log("all steps are applied");
