// The demo's API server: what headgate starts once the database is ready and migrated. It knows
// nothing about headgate.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import pg from "pg";

const port = Number(process.env.PORT || 3000);

// `node api.mjs --check` is the health check, because the image has no curl.
if (process.argv.includes("--check")) {
  const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
  process.exit(answer?.ok ? 0 : 1);
}

// DATABASE_URL, or PGHOST and its kin; a password file is read for each connection, so that it may change.
const { DATABASE_URL, PGPASSWORD_FILE } = process.env;
const pool = new pg.Pool({
  ...(DATABASE_URL && { connectionString: DATABASE_URL }),
  ...(PGPASSWORD_FILE && {
    password: async () => (await readFile(PGPASSWORD_FILE, "utf8")).trim(),
  }),
});
// An idle connection that breaks is replaced at the next query; unheard, the event would end us.
pool.on("error", (error) => console.error(`database connection lost: ${error.message}`));

const routes = {
  "GET /health": async () => {
    // Row 0 is the history table's own creation.
    const { rows } = await pool.query("SELECT count(*)::int AS n FROM migrations WHERE id > 0");
    return [200, { status: "ok", migrations: rows[0].n }];
  },
  "GET /notes": async () => {
    const { rows } = await pool.query("SELECT * FROM notes ORDER BY created_at DESC LIMIT 100");
    return [200, rows];
  },
  "POST /notes": async (request) => {
    const { text, author = "anonymous" } = await readJson(request);
    if (typeof text !== "string" || text === "" || typeof author !== "string") {
      return [400, { error: 'send {"text": "…"}, and "author" if you like' }];
    }
    const insert = "INSERT INTO notes (text, author) VALUES ($1, $2) RETURNING *";
    const { rows } = await pool.query(insert, [text, author]);
    return [201, rows[0]];
  },
};

async function readJson(request) {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    body += chunk;
    if (body.length > 10_000) return {};
  }
  try {
    return Object(JSON.parse(body));
  } catch {
    return {};
  }
}

async function answer(request) {
  const route = routes[`${request.method} ${request.url.split("?")[0]}`];
  try {
    return route ? await route(request) : [404, { error: `try ${Object.keys(routes).join(", ")}` }];
  } catch (error) {
    console.error(`${request.method} ${request.url}: ${error.message}`);
    return [503, { status: "unavailable" }];
  }
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request);
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
});

server.listen(port, () => console.log(`listening on http://127.0.0.1:${port}`));

let stopping = false;
function stop() {
  // Ctrl-C in a terminal and a SIGTERM from whoever started us can both arrive.
  if (stopping) return;
  stopping = true;
  server.close(() => pool.end());
  // Requests in progress may finish, for half a second.
  setTimeout(() => server.closeAllConnections(), 500).unref();
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
