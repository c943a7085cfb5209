import type { Space } from "./space.ts";

/** Two migrations; the second takes until the test opens the gate. */
export const gated = {
  "1_gate.sql":
    "CREATE TABLE gate (); INSERT INTO gate DEFAULT VALUES; CREATE TABLE effects (n int);",
  "2_long.sql": `INSERT INTO effects VALUES (1);
    DO $$ BEGIN WHILE EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.1); END LOOP; END $$;`,
};

export const openGate = (space: Space): Promise<string> => space.sql("delete from gate");
