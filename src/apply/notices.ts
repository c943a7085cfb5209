import type { Notice } from "../postgres/session.ts";
import type { Log } from "../report/log.ts";
import { hideSecrets } from "./sql-failure.ts";

/** UTF-16 units of a message; the rest of what a terminal or a log store should not have to take. */
const longestMessage = 1000;

type NoticeReporter = {
  /** What comes from now on is this file's. */
  begin(fileName: string): void;
  readonly listen: (notice: Notice) => void;
  /** Says how much was left out, if anything was. To be called after the last file too, also when it failed. */
  finish(): void;
};

/**
 * Logs what the server says while files are applied, within bounds: a loop that raises a hundred thousand notices
 * costs a few lines, and is only counted beyond them.
 * @param limitPerFile so many warnings, and so many messages of all lesser severities together
 */
export function noticeReporter(log: Log, limitPerFile = 20): NoticeReporter {
  let migration: string | undefined;
  let shown = { warn: 0, debug: 0 };
  let leftOut: Record<string, number> = {};
  let leftOutWarnings = false;

  const finish = (): void => {
    if (Object.keys(leftOut).length > 0) {
      log[leftOutWarnings ? "warn" : "debug"](
        { phase: "migrate", migration, leftOut },
        "left out more messages of the server",
      );
    }
    shown = { warn: 0, debug: 0 };
    leftOut = {};
    leftOutWarnings = false;
  };

  return {
    begin: (fileName) => {
      finish();
      migration = fileName;
    },
    listen: ({ severity, code, message }) => {
      const level = severity === "WARNING" || code.startsWith("01") ? "warn" : "debug";
      if (shown[level] === limitPerFile) {
        leftOutWarnings ||= level === "warn";
        leftOut[severity] = (leftOut[severity] ?? 0) + 1;
        return;
      }
      shown[level]++;
      const facts = { phase: "migrate", migration };
      const text = hideSecrets(shorten(message));
      if (level === "warn") log.warn({ ...facts, message: text }, "warned by the server");
      else log.debug({ ...facts, severity, message: text }, "told by the server");
    },
    finish,
  };
}

function shorten(message: string): string {
  if (message.length <= longestMessage) return message;
  // Half of a pair is no character.
  return `${message.slice(0, longestMessage).replace(/[\uD800-\uDBFF]$/, "")} …`;
}
