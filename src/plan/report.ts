import type { PlanFinding } from "../migrations/allowances.ts";

/** What `headgate plan` finds, as it is printed and as `--out` keeps it. docs/commands/plan.md describes each field. */
export type PlanReport = {
  /** Of this format. */
  readonly version: 1;
  readonly headgate: string;
  readonly database: string;
  /** `traced`: statements were run on a copy; `syntax`: there was none. */
  readonly analysis: "traced" | "syntax";
  /** Each a sentence: what the reader has to know of how it was found. */
  readonly notes: readonly string[];
  readonly sets: readonly SetPlan[];
};

/** Of one set of migrations. */
export type SetPlan = {
  /** Null when there is only one. */
  readonly name: string | null;
  readonly historyTable: string;
  /** Of an external migrator, which cannot be looked into. Null for a set of SQL files. */
  readonly migrator: MigratorPlan | null;
  readonly applied: readonly Recorded[];
  readonly pending: readonly FilePlan[];
};

export type MigratorPlan = {
  readonly command: string;
  readonly fingerprint: string | null;
  /** Of its own tables, `absent` when there are none, null when it cannot be known. */
  readonly state: string | null;
  /** Why it would be run, and then what it would do is unknown; null when it would not. */
  readonly due: string | null;
};

/** A migration as the history has it. */
type Recorded = { readonly id: number; readonly name: string; readonly checksum: string };

export type FilePlan = Recorded & {
  readonly path: string;
  readonly transactional: boolean;
  readonly statements: readonly StatementPlan[];
};

export type StatementClass =
  "instant" | "scan" | "index build" | "rewrite" | "data change" | "unknown";

export type StatementPlan = {
  readonly line: number;
  readonly sql: string;
  readonly class: StatementClass;
  /** How the locks are known. */
  readonly locksAre: "observed" | "known" | "read from the text" | "unknown";
  readonly locks: readonly LockPlan[];
  /** Locks of earlier statements of the same file that block others while this one runs. */
  readonly held: readonly LockPlan[];
  readonly rewrites: readonly string[];
  readonly scans: readonly string[];
  readonly indexBuilds: readonly string[];
  /** Of the largest relation that it works through; null where the catalog does not know. */
  readonly rows: number | null;
  readonly bytes: number | null;
  readonly findings: readonly Finding[];
  readonly safer: string | null;
};

export type LockPlan = {
  readonly relation: string;
  readonly mode: string;
  readonly blocks: "reads and writes" | "writes" | "nothing";
  readonly rows: number | null;
  readonly bytes: number | null;
};

export type Finding = {
  readonly name: PlanFinding;
  readonly text: string;
  /** The reason of the file's `allow` directive; null when it counts. */
  readonly allowed: string | null;
};

/** What a migrator that would be run counts as, whatever it would do. */
export const whatIsDue = ({ due }: MigratorPlan): string =>
  `another program would be run, and what it would do is not known (it is due: ${due})`;

/** What `--fail-on` takes, from lenient to strict, and the findings that each fails on. */
export const failLevels: { readonly [level: string]: readonly PlanFinding[] } = {
  rewrite: ["unknown", "rewrite"],
  scan: ["unknown", "rewrite", "index-build", "scan", "data-change"],
  blocking: ["unknown", "rewrite", "index-build", "scan", "data-change", "lock"],
};
