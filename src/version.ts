import metadata from "../package.json" with { type: "json" };

/** Put in when it is built. */
declare const COMMIT: string | undefined;

/** The version of the package this was built from. */
export const version: string = metadata.version;

/** The commit it was built from; `unknown` where the build could not tell, and without a build. */
export const commit: string = typeof COMMIT === "string" ? COMMIT : "unknown";
