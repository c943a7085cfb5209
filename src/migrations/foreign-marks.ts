import { readToken } from "../sql/tokens.ts";
import type { Problem } from "./problem.ts";

/** A tool whose files hold lines of its own, and how it is run beside headgate. */
type Tool = { readonly name: string; readonly mark: RegExp; readonly command: string };

/** A comment line that a tool acts on. */
type Mark = { readonly text: string; readonly offset: number; readonly isBetween: boolean };

/** `_` stands for blanks, or none. Each is a whole line, as the tool itself reads it; `#` is Play's older spelling. */
const line = (source: string): RegExp =>
  new RegExp(`^[ \\t]*#?[ \\t]*${source.replaceAll("_", "[ \\t]*")}$`, "gimu");

/** What follows a direction in words, such as the closing dashes; a sentence goes on with letters. */
const noWords = String.raw`[^\p{L}\p{N}\n\r]*`;
const rest = String.raw`\b[^\n\r]*`;

/** goose's and dbmate's marks are from their parsers; the others' from their documentation or source. */
const tools: readonly Tool[] = [
  {
    name: "goose",
    mark: line(
      String.raw`--_\+goose[ \t]+(?:up|down|statementbegin|statementend|no[ \t]+transaction|envsub[ \t]+(?:on|off))_`,
    ),
    command: '"goose up"',
  },
  {
    name: "dbmate",
    mark: line(String.raw`--_migrate:(?:up|down)(?:[ \t][^\n\r]*)?`),
    command: "dbmate",
  },
  {
    name: "sql-migrate",
    mark: line(String.raw`--_\+migrate[ \t]+(?:up|down|statementbegin|statementend)${rest}`),
    command: '"sql-migrate up"',
  },
  {
    name: "micrate",
    mark: line(String.raw`--_\+micrate[ \t]+(?:up|down|statementbegin|statementend)${rest}`),
    command: '"micrate up"',
  },
  {
    name: "node-pg-migrate",
    mark: line(String.raw`--[ \t\-]*down[ \t]+migration${noWords}`),
    command: "node-pg-migrate",
  },
  {
    name: "tern",
    mark: line(String.raw`----_(?:create above / drop below|tern:_disable-tx)_----_`),
    command: '"tern migrate"',
  },
  {
    name: "graphile-migrate",
    mark: line(
      String.raw`--!_(?:previous|hash|allowinvalidhash|no-transaction|include|included|endincluded)${rest}`,
    ),
    command: '"graphile-migrate migrate"',
  },
  {
    name: "liquibase",
    mark: line(String.raw`--_liquibase[ \t]+formatted[ \t]+sql${rest}`),
    command: "liquibase",
  },
  {
    name: "Play's evolutions",
    mark: line(String.raw`--[ \t\-]*!(?:ups|downs)${rest}`),
    command: "COMMAND",
  },
  { name: "MyBatis Migrations", mark: line(`--_//_@undo${rest}`), command: '"migrate up"' },
  {
    name: "rambler",
    mark: line(String.raw`--_rambler[ \t]+(?:up|down)${rest}`),
    command: '"rambler apply --all"',
  },
];

/** `-- Up` and `-- Down`, `==== UP ====`, `+down`: what many smaller tools use. One alone may be anybody's comment. */
const directions: Tool = {
  name: "a tool that keeps both directions in one file",
  mark: line(
    String.raw`--${noWords}(?:up|down)(?:[ \t]+(?:migration|script|part|section))?${noWords}`,
  ),
  command: "COMMAND",
};
/** A word of each mark above. Most files have none of them, and are read once for it at a start. */
const hint = /--[^\n\r]*(?:goose|migrate|micrate|down|create above|tern|!|liquibase|undo|rambler)/i;
const isDown = (text: string): boolean => /\bdown|drop below|@undo/i.test(text);

/** What a template engine replaces; outside of strings and comments none of it is SQL. */
const templateMark = /\{\{|\{%|\$\{/;

/**
 * Finds what another tool would understand in a file, and headgate would not: the marks of its sections, of which it
 * runs one and headgate would run all, and templates. Pure.
 * @returns one problem at most for each of both
 */
export function foreignProblems(sql: string): Problem[] {
  return [...sectionProblems(sql), ...templateProblems(sql)];
}

function sectionProblems(sql: string): Problem[] {
  if (!hint.test(sql)) return [];
  // Only where a line looks like one, it is worth telling comments from strings.
  const suspects = [...tools, directions].filter(({ mark }) => sql.search(mark) !== -1);
  if (suspects.length === 0) return [];
  const { comments, lastStatementAt } = readComments(sql);
  for (const tool of suspects) {
    const marks = [...sql.matchAll(tool.mark)].flatMap(({ 0: text, index }): Mark[] => {
      const offset = index + text.indexOf("--");
      const isBetween = comments.get(offset);
      return isBetween === undefined ? [] : [{ text: text.trim(), offset, isBetween }];
    });
    const down = marks.find(({ text }) => isDown(text));
    if (tool === directions) {
      const isPair =
        down !== undefined &&
        down.offset < lastStatementAt &&
        marks.every(({ isBetween }) => isBetween) &&
        marks.some(({ text }) => !isDown(text));
      if (!isPair) continue;
    }
    const mark = down ?? marks[0];
    if (mark !== undefined) return [toProblem(tool, mark, down !== undefined)];
  }
  return [];
}

function toProblem({ name, command }: Tool, { text, offset }: Mark, hasDown: boolean): Problem {
  const shown = text.length > 60 ? `${text.slice(0, 60)} …` : text;
  const [why, correction] = hasDown
    ? [
        "headgate runs a file whole, and would undo what it has just made",
        "keep what goes up in this file and what goes down in its file in undo/, both without such lines",
      ]
    : ["headgate does not follow it", "remove such lines if the file is right without them"];
  return {
    ...{ rule: "foreign-mark", offset, what: `holds a mark of ${name} (${shown}): ${why}` },
    fix: `${correction}; or let ${hasDown && name.startsWith("a ") ? "that tool" : name} apply its files: --migrator ${command}`,
  };
}

/** Where comments of two dashes stand, and whether no statement is open there. */
function readComments(sql: string): {
  readonly comments: ReadonlyMap<number, boolean>;
  readonly lastStatementAt: number;
} {
  const comments = new Map<number, boolean>();
  let [isBetween, lastStatementAt] = [true, -1];
  for (let at = 0; at < sql.length;) {
    const { kind, text, end } = readToken(sql, at);
    if (kind !== "blank") {
      isBetween = text === ";";
      if (!isBetween) lastStatementAt = at;
    } else if (text.startsWith("--")) comments.set(at, isBetween);
    at = end;
  }
  return { comments, lastStatementAt };
}

function templateProblems(sql: string): Problem[] {
  if (!templateMark.test(sql)) return [];
  for (let at = 0; at < sql.length;) {
    const { kind, end } = readToken(sql, at);
    const mark = kind === "symbol" ? sql.slice(at, at + 2) : "";
    if (templateMark.test(mark)) {
      return [
        {
          ...{ rule: "template", offset: at },
          what: `holds ${mark} outside of strings, the mark of a template, and headgate sends a file as it is`,
          fix: "write out what the template makes; or let the tool that fills it in apply its files: --migrator COMMAND",
        },
      ];
    }
    at = end;
  }
  return [];
}
