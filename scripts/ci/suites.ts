/** What CI runs, what each suite costs, and which files it is about. */

export type Suite = {
  /** As in the closing table. */
  readonly name: string;
  /** For bash, in the repository's root. */
  readonly command: string;
  /** Wall time on the machine whose speed is 1, with what it needs set up; measured 2026-12. */
  readonly seconds: number;
  /** A change of one of these files makes it worth running first. */
  readonly about: RegExp;
};

/** Runs what follows it with a Docker engine and a cluster. */
const withMachine = 'machine=$(.ci/machine) && eval "$machine" && ';

/** Always run, whatever it takes; the README's command first. */
export const always: readonly Suite[] = [
  { name: "npm test", command: "npm test", seconds: 250, about: /./ },
  { name: "npm run check", command: "npm run check", seconds: 35, about: /./ },
];

/** Run in turn, as time allows. */
export const suites: readonly Suite[] = [
  {
    name: "npm run test:faults",
    command: "npm run test:faults",
    seconds: 110,
    about:
      /^(entrypoint|src\/(apply|gate|lock|migrations|postgres|sql|table-locks)\/|test\/faults\/)/,
  },
  {
    name: "npm run test:matrix",
    command: "npm run test:matrix",
    seconds: 600,
    about:
      /^(entrypoint|src\/(apply|copy|fingerprint|handover|lock|migrations|plan|postgres|scratch|sql|table-locks)\/|test\/matrix\/)/,
  },
  {
    name: "npm run test:tools",
    command: "npm run test:tools",
    seconds: 165,
    about: /^(src\/(adopt|gate|migrator)\/|docs\/migrators|test\/tools\/)/,
  },
  {
    name: "npm run compare:squawk",
    command: "npm run compare:squawk",
    seconds: 125,
    about: /^(src\/(copy|plan|scratch|sql)\/|test\/squawk\/)/,
  },
  {
    name: "npm run test:cluster",
    command: `${withMachine}npm run test:cluster`,
    seconds: 370,
    about: /^(deploy\/kubernetes\/|docker\/|src\/(commands|gate)\/|test\/cluster\/)/,
  },
  {
    name: "npm run test:containers",
    command: `npm run build:all && ${withMachine}npm run test:containers`,
    seconds: 295,
    about: /^(docker|scripts\/b|src\/handover\/|test\/(containers|executables)\/)/,
  },
  {
    name: "npm run test:deploy",
    command: `${withMachine}npm run test:deploy`,
    seconds: 240,
    about: /^(deploy\/|test\/deploy\/)/,
  },
  {
    name: "npm run test:full",
    command: "npm run test:full",
    seconds: 700,
    about: /^(entrypoint|src\/|test\/(e2e|helpers)\/)/,
  },
];
