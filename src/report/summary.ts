import { appendFileSync } from "node:fs";
import type { Log, LogLevel } from "./log.ts";
import { summaryText } from "./summary-text.ts";

/** One line of the log, with the time at which it was written. */
export type Happening = {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly level: LogLevel;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly event: string;
};

/** What the summary of a run is made of: all that was logged, and what was printed. */
export type Collected = {
  readonly startedAt: number;
  readonly happenings: Happening[];
  /** Markdown. */
  readonly results: string[];
};

/** Collects what becomes of a run, for a report in Markdown. */
export type Summary = {
  /** The log, and all that is logged with it is collected; but for the lines of other programs, which may be many. */
  readonly listen: (log: Log) => Log;
  /** Adds what the command prints. */
  readonly add: (markdown: string) => void;
  /**
   * Adds the report to the file, as the steps of a job add theirs to $GITHUB_STEP_SUMMARY.
   * @param ending how the run ended
   * @returns what went wrong, if anything: that is no reason to fail
   */
  readonly write: (ending: string) => string | undefined;
};

/** @param title what was typed: `headgate migrate` */
export function createSummary(
  file: string,
  title: string,
  redact: (text: string) => string,
): Summary {
  const collected: Collected = { startedAt: Date.now(), happenings: [], results: [] };
  const { happenings, results } = collected;
  return {
    listen: (log) => {
      const collect =
        (level: LogLevel) =>
        (facts: object, event: string): void => {
          if (!("stream" in facts))
            happenings.push({ at: Date.now(), level, facts: { ...facts }, event });
          log[level](facts, event);
        };
      return {
        ...{ debug: collect("debug"), info: collect("info") },
        ...{ warn: collect("warn"), error: collect("error") },
      };
    },
    add: (markdown) => results.push(markdown),
    write: (ending) => {
      try {
        appendFileSync(file, redact(summaryText(title, ending, collected)));
        return undefined;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
  };
}
