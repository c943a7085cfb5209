import metadata from "../package.json" with { type: "json" };

/** The version of the package this was built from. */
export const version: string = metadata.version;
