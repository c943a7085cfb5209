import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { artifacts, runHeadgate } from "../../helpers/headgate.ts";
import { testOn } from "../../helpers/everywhere.ts";
import { makeMigrations } from "../../helpers/migrations.ts";

for (const artifact of artifacts) {
  testOn(
    artifact,
    "D3 new writes the next migration and its undo file, numbered and spelt as the folder's files are, and prints their paths",
    async () => {
      const cases: [string[], string, string][] = [
        [[], "Add author", "1_add-author.sql"],
        [["1_create-notes.sql"], "add-author", "2_add-author.sql"],
        [["0001_create_notes.sql"], "Add user's  e-mail!", "0002_add_users_e_mail.sql"],
        [["01-create.sql"], "add author", "02-add-author.sql"],
        [["1_a.sql", "2_b.sql", "3_c.js"], "Größe 2", "4_größe-2.sql"],
        [["1.sql"], "next", "2_next.sql"],
        [
          Array.from({ length: 9 }, (_, index) => `0${index + 1}_f${index}.sql`),
          "ten",
          "10_ten.sql",
        ],
      ];
      for (const [names, name, expected] of cases) {
        const content = "exports.generateSql = () => '';";
        const folder = makeMigrations(Object.fromEntries(names.map((each) => [each, content])));
        const { exitCode, stdout, stderr } = await runHeadgate(artifact, ["new", name], {
          env: { HEADGATE_MIGRATIONS: folder },
        });
        assert.deepEqual([exitCode, stderr], [0, ""]);
        const paths = [join(folder, expected), join(folder, "undo", expected)];
        assert.equal(stdout, `${paths.join("\n")}\n`);
        assert.equal(
          readFileSync(paths[0] ?? "", "utf8").startsWith(`-- ${name.split(" ")[0]}`),
          true,
        );
        assert.equal(readFileSync(paths[1] ?? "", "utf8"), `-- Undoes ${expected}.\n`);
        const again = await runHeadgate(artifact, ["new", "and another", "--migrations", folder]);
        assert.equal(again.exitCode, 0, "the folder is one that headgate accepts");
      }
    },
  );

  testOn(
    artifact,
    "D3 new refuses bad names, a missing folder and what is there already, and then writes nothing",
    async () => {
      const folder = makeMigrations({ "1_create-notes.sql": "", "undo/2_taken.sql": "kept" });
      const gap = makeMigrations({ "1_a.sql": "", "3_c.sql": "" });
      const cases: [string[], number, RegExp][] = [
        [["new"], 64, /needs its NAME/],
        [["new", "!?"], 64, /"!\?" is not a name/],
        [["new", "x".repeat(101)], 64, /101 characters long; the history table holds 100/],
        [["new", "add", "author"], 64, /unexpected argument "author"/],
        [["new", "Create notes"], 64, /1_create-notes\.sql has the same name/],
        [["new", "taken"], 64, /undo\/2_taken\.sql exists already; nothing was written/],
        [
          ["new", "x", "--migrations", join(folder, "none")],
          64,
          /cannot read the migrations folder/,
        ],
        [["new", "x", "--migrations", gap], 65, /3_c\.sql: number 2 is missing before it/],
        [["new", "x", "--database-url", "postgres://h/d"], 64, /not an option of `headgate new`/],
      ];
      for (const [args, code, message] of cases) {
        const result = await runHeadgate(artifact, args, { env: { HEADGATE_MIGRATIONS: folder } });
        assert.deepEqual([result.exitCode, result.stdout], [code, ""], result.stderr);
        assert.match(result.stderr.replaceAll('\\"', '"'), message);
      }
      assert.deepEqual(readdirSync(folder), ["1_create-notes.sql", "undo"]);
      assert.equal(readFileSync(join(folder, "undo/2_taken.sql"), "utf8"), "kept");
      // A disk that takes no more: what was begun is removed.
      const full = await runHeadgate(artifact, ["new", "more", "--migrations", folder], {
        wrap: ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"],
      });
      assert.equal(full.exitCode, 64, full.stderr);
      assert.match(full.stderr, /2_more\.sql cannot be written \(EFBIG\); nothing was written/);
      assert.deepEqual(readdirSync(folder), ["1_create-notes.sql", "undo"]);
    },
  );
}
