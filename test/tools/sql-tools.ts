import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { type Tool, padded, write } from "./tool.ts";

export const dbmate: Tool = {
  preset: "dbmate",
  init: () => undefined,
  write: (folder, number, { up, down, inTransaction = true }) =>
    write(
      folder,
      `db/migrations/2026010100${padded(number)}_step.sql`,
      `-- migrate:up${inTransaction ? "" : " transaction:false"}
${up.join(";\n")};

-- migrate:down
${down ?? ""}
`,
    ),
  down: ["dbmate", "--no-dump-schema", "rollback"],
  refusesAhead: false,
};

export const sqitch: Tool = {
  preset: "sqitch",
  needs: {
    packages: "sqitch, libdbd-pg-perl, postgresql-client",
    check: "sqitch --version && perl -MDBD::Pg -e 1 && psql --version",
  },
  init: (folder) => {
    write(folder, "sqitch.conf", '[core]\n\tengine = pg\n[engine "pg"]\n\ttarget = db:pg:\n');
    write(folder, "sqitch.plan", "%syntax-version=1.0.0\n%project=things\n\n");
  },
  write: (folder, number, { up, down }) => {
    appendFileSync(
      join(folder, "sqitch.plan"),
      `step${number} 2026-01-01T00:00:${String(number).padStart(2, "0")}Z Test <test@example.org> # a step\n`,
    );
    const transaction = (sql: string): string => `BEGIN;\n${sql};\nCOMMIT;\n`;
    write(folder, `deploy/step${number}.sql`, transaction(up.join(";\n")));
    write(folder, `revert/step${number}.sql`, transaction(down ?? "SELECT 1"));
  },
  down: ["sqitch", "revert", "--to", "@HEAD^", "-y"],
  refusesAhead: true,
};
