import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Step, type Tool, padded, toolPath, write } from "./tool.ts";

/** Runs a tool's own start of a project. */
function run(folder: string, file: string, ...args: string[]): void {
  const options = { cwd: folder, env: { PATH: toolPath }, encoding: "utf8" } as const;
  const { status, stderr } = spawnSync(file, args, options);
  if (status !== 0) throw new Error(`${file} ${args.join(" ")} failed\n${stderr}`);
}

function edit(file: string, from: string | RegExp, to: string): void {
  const before = readFileSync(file, "utf8");
  const after = before.replace(from, () => to);
  if (after === before) throw new Error(`${file} does not hold ${from}`);
  writeFileSync(file, after);
}

const python = (sql: string): string => JSON.stringify(sql);

/** Its sessions and its process show themselves 100 times a second, from start to end. */
const beats = `
import threading, time, psycopg2
def beat():
    diary = psycopg2.connect(os.environ["DATABASE_URL"])
    diary.autocommit = True
    while True:
        diary.cursor().execute("INSERT INTO beats (process) VALUES (%s)", (os.getpid(),))
        time.sleep(0.01)
if "BEATS" in os.environ:
    threading.Thread(target=beat, daemon=True).start()
`;

export const alembic: Tool = {
  preset: "alembic",
  needs: {
    packages: "alembic, python3-psycopg2",
    check: "alembic --version && /usr/bin/python3 -c 'import alembic, psycopg2'",
  },
  init: (folder) => {
    run(folder, "alembic", "init", "alembic");
    edit(
      join(folder, "alembic/env.py"),
      "config = context.config\n",
      `import os
config = context.config
config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"].replace("%", "%%"))
${beats}`,
    );
  },
  write: (folder, number, { up, down, inTransaction = true }) => {
    const before = number === 1 ? "None" : `"${padded(number - 1)}"`;
    const indent = inTransaction ? "    " : "        ";
    const begin = inTransaction ? "" : "    with op.get_context().autocommit_block():\n";
    write(
      folder,
      `alembic/versions/${padded(number)}_step.py`,
      `from alembic import op

revision = "${padded(number)}"
down_revision = ${before}


def upgrade():
${begin}${up.map((sql) => `${indent}op.execute(${python(sql)})\n`).join("")}

def downgrade():
    ${down === undefined ? "pass" : `op.execute(${python(down)})`}
`,
    );
  },
  down: ["alembic", "downgrade", "-1"],
  refusesAhead: true,
};

export const django: Tool = {
  preset: "django",
  needs: {
    packages: "python3-django, python3-psycopg2",
    check: "django-admin --version && /usr/bin/python3 -c 'import django, psycopg2'",
  },
  init: (folder) => {
    run(folder, "django-admin", "startproject", "site_of_things", ".");
    run(folder, "python", "manage.py", "startapp", "things");
    const settings = join(folder, "site_of_things/settings.py");
    edit(settings, "INSTALLED_APPS = [", "INSTALLED_APPS = [\n    'things',");
    edit(
      settings,
      /DATABASES = \{[^}]*\}\s*\}/,
      `import os
DATABASES = {'default': {
    'ENGINE': 'django.db.backends.postgresql',
    **{key: os.environ['PG' + variable] for key, variable in {
        'HOST': 'HOST', 'PORT': 'PORT', 'NAME': 'DATABASE', 'USER': 'USER', 'PASSWORD': 'PASSWORD'
    }.items()},
}}`,
    );
  },
  write: (folder, number, { up, down }: Step) => {
    const before = number === 1 ? "" : `("things", "${padded(number - 1)}_step")`;
    const back = down === undefined ? "migrations.RunSQL.noop" : python(down);
    write(
      folder,
      `things/migrations/${padded(number)}_step.py`,
      `from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [${before}]
    operations = [migrations.RunSQL([${up.map(python).join(", ")}], ${back})]
`,
    );
  },
  down: ["python", "manage.py", "migrate", "things", "0005"],
  refusesAhead: false,
};
