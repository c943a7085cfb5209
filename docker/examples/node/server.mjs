import { createServer } from "node:http";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
pool.on("error", (error) => console.error(`database connection lost: ${error.message}`));

const server = createServer(async (request, response) => {
  try {
    const { rows } = await pool.query("SELECT name FROM cities ORDER BY name");
    response.end(JSON.stringify(rows.map(({ name }) => name)));
  } catch (error) {
    console.error(`${request.method} ${request.url}: ${error.message}`);
    response.writeHead(503).end();
  }
});
server.listen(3000);
process.on("SIGTERM", () => server.close(() => pool.end()));
