/** Runs SQL that a page of the documentation takes for given: `sql "create table …"`. */
import pg from "pg";

const client = new pg.Client({ connectionString: process.env["DATABASE_URL"] });
await client.connect();
await client.query(process.argv[2] ?? "");
await client.end();
