import { quoteTable } from "../postgres/facts.ts";
import type { Name } from "../sql/reader.ts";

/** Put above what cannot run in a transaction. */
export const ownFile = "-- in a file of its own:\n-- headgate: no-transaction\n";

const plain = /^[a-z_][a-z0-9_]*$/;

/** Quoted only where it has to be, because it is read by people. */
export const quote = (names: Name): string =>
  names.map((name) => (plain.test(name) ? name : quoteTable([name]))).join(".");
