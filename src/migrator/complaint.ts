/** What a migrator's own words say of its failure, as far as they do. */
export type Complaint = {
  /** The migration: a revision, a file, a line. */
  readonly migration?: string;
  readonly statement?: string;
  readonly cause?: string;
};

type Reader = (text: string) => Complaint;

/** In a message that has room for a sentence. */
const longest = 300;

/** What the last match of a pattern has in its groups. */
function last(text: string, pattern: RegExp): readonly string[] {
  return [...text.matchAll(new RegExp(pattern, "gm"))].at(-1)?.slice(1) ?? [];
}

/** The line of an exception of Python's. */
const exception =
  /^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Failure|Violation|errors\.\w+|exc\.\w+): .+)$/;

/** Without `sqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedTable)`; a name alone, as KeyError, says something. */
function pythonsCause(text: string): string | undefined {
  const [line] = last(text, exception);
  return line?.replace(/^\w+(?:\.\w+)+: (?:\([\w.]+\) )?/, "");
}

/** libpq's excerpt, where a tool does not print the statement. */
const excerptLine = /^LINE \d+: (.*)$/;

const readers: { readonly [preset: string]: Reader } = {
  alembic: (text) => {
    const [revision] = last(text, /Running (?:up|down)grade .*?-> ([\w, ]+\w)/);
    const [file, line] = last(text, /^ *File "([^"]+)", line (\d+), in (?:up|down)grade$/);
    const [statement] = last(text, /^\[SQL: ([^]*?)\]\n(?:\[parameters|\(Background)/);
    const [command] = last(text, /^ *FAILED: (.+)$/);
    const place = file === undefined ? undefined : `${file}:${line}`;
    return {
      ...some(
        "migration",
        revision === undefined ? place : withPlace(`revision ${revision}`, place),
      ),
      ...some("statement", statement ?? last(text, excerptLine)[0]),
      ...some("cause", command ?? pythonsCause(text)),
    };
  },
  django: (text) => {
    const [name] = last(text, /^ *Applying (\S+?)\.\.\.(?! OK)/);
    const [file, line] = last(text, /^ *File "([^"]+\/migrations\/\d[^"/]*\.py)", line (\d+)/);
    const place = file === undefined ? undefined : `${file}:${line}`;
    return {
      ...some("migration", name === undefined ? place : withPlace(name, place)),
      ...some("statement", last(text, excerptLine)[0]),
      ...some("cause", pythonsCause(text)),
    };
  },
  knex: (text) => {
    const [statement, cause] = last(
      text,
      /^migration failed with error: ([^]*?) - (.*)\n(?:\w*error:|    at )/i,
    );
    const [plain] = last(text, /^migration failed with error: (.+)$/);
    return {
      ...some("migration", last(text, /^migration file "([^"]+)" failed$/)[0]),
      ...some("statement", statement),
      ...some("cause", cause ?? plain),
    };
  },
  "node-pg-migrate": (text) => {
    const [statement, cause] = last(text, /^Error executing:\n([^]*?)\n\w*error: (.+)$/i);
    return {
      ...some("migration", last(text, /^### MIGRATION (\S+) \(\w+\) ###$/)[0]),
      ...some("statement", statement),
      ...some("cause", cause ?? last(text, /^error: (.+)$/i)[0]),
    };
  },
  typeorm: (text) => {
    const [migration, cause] = last(text, /^Migration "([^"]+)" failed, error: (.+)$/);
    return {
      ...some("migration", migration),
      ...some("statement", last(text, /^query failed: ([^]*?)\nerror: /)[0]),
      ...some("cause", cause ?? last(text, /^\w*error: (.+)$/i)[0]),
    };
  },
  dbmate: (text) => ({
    ...some("migration", last(text, /^Applying: (\S+)$/)[0]),
    ...some("cause", last(text, /^Error: (?:pq: )?(.+)$/)[0]),
  }),
  sqitch: (text) => {
    const [file, line, cause] = last(text, /\bpsql:(\S+?):(\d+): \S+: +(.+)$/);
    return {
      ...some("migration", file === undefined ? undefined : `${file}:${line}`),
      ...some("statement", last(text, excerptLine)[0]),
      ...some("cause", cause),
    };
  },
  // It prints nothing at all of a failure.
  drizzle: () => ({}),
};

/** The words of Postgres, as most tools pass them on. */
const anyTool: Reader = (text) => ({
  ...some("statement", last(text, excerptLine)[0]),
  ...some(
    "cause",
    last(text, /^.*?\b(?:ERROR|FATAL): +(.+)$/)[0] ?? last(text, /^error: (.+)$/)[0],
  ),
});

/**
 * Finds the migration, the statement and the cause in what a migrator printed before it failed.
 * @param preset whose words they are; absent: whoever's they look like
 * @param directory where it ran: a file in it is named from there
 */
export function readComplaint(
  preset: string | undefined,
  lines: readonly string[],
  directory: string,
): Complaint {
  // oxlint-disable-next-line no-control-regex -- colours, and what moves a cursor
  const text = `${lines.join("\n").replace(/\x1b\[[\d;?]*[A-Za-z]/g, "")}\n`;
  const known = preset === undefined ? undefined : readers[preset];
  const seen = (known === undefined ? Object.values(readers) : [known]).map((read) => read(text));
  const found = seen.find(({ migration, cause }) => migration !== undefined && cause !== undefined);
  const words = { ...(found ?? { ...anyTool(text), ...(known === undefined ? {} : seen[0]) }) };
  return Object.fromEntries(
    Object.entries(words).map(([key, value]) => [
      key,
      shorten(value.replaceAll(`${directory}/`, "")),
    ]),
  );
}

/** The end of a sentence that says how a migrator failed: ` in revision 7 (…): the cause; the statement: …`. */
export function inWords({ migration, cause, statement }: Complaint): string {
  const where = migration === undefined ? "" : ` in ${migration}`;
  const why = cause === undefined ? "" : `: ${cause}`;
  return `${where}${why}${statement === undefined ? "" : `; the statement: ${statement}`}`;
}

function some<Key extends keyof Complaint>(
  key: Key,
  value: string | undefined,
): { [key in Key]?: string } {
  return (value === undefined || value === "" ? {} : { [key]: value }) as { [key in Key]?: string };
}

const withPlace = (name: string, place: string | undefined): string =>
  place === undefined ? name : `${name} (${place})`;

function shorten(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length <= longest ? line : `${line.slice(0, longest)} …`;
}
