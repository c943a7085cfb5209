import { type Logger, pino } from "pino";
import { writeFully } from "./print.ts";
import { formatText } from "./text.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Facts first, then what happened in a few past-tense words. */
export type Log = { readonly [level in LogLevel]: (facts: object, event: string) => void };

/**
 * A log that writes each line to stderr before it returns, so that none is lost at the execve that ends headgate
 * (pino's own destinations lose lines there, and leave O_NONBLOCK on the pipe that the server inherits).
 * @param format one JSON object a line, or lines for people
 * @param redact removes secrets from a finished line
 */
export function createLog(
  format: "json" | "text",
  level: LogLevel,
  redact: (line: string) => string,
): Log {
  const write = (line: string): void =>
    writeFully(
      2,
      redact(format === "json" ? line : formatText(JSON.parse(line) as Record<string, unknown>)),
    );
  let logger: Logger | undefined;
  // Made at the first line: the log that only mistakes in the arguments would use is seldom needed.
  const lines = (): Logger =>
    (logger ??= pino(
      {
        level,
        base: null,
        timestamp: () => `,"time":"${new Date().toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
      },
      { write },
    ));
  return {
    debug: (facts, event) => lines().debug(facts, event),
    info: (facts, event) => lines().info(facts, event),
    warn: (facts, event) => lines().warn(facts, event),
    error: (facts, event) => lines().error(facts, event),
  };
}
