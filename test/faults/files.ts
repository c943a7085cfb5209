import type { MigrationFiles } from "../helpers/migrations.ts";

/**
 * Each statement that would do harm when it is run twice, or not at all, leaves a trace: a row more in `audit`, which
 * takes any number of the same ones, or a higher number.
 */
export const transactional: MigrationFiles = {
  "1_create-items.sql": `
    CREATE TABLE audit (what text NOT NULL);
    CREATE TABLE counters (name text PRIMARY KEY, value int NOT NULL);
    INSERT INTO counters VALUES ('files', 0), ('steps', 0), ('more steps', 0);
    CREATE TABLE items (id int PRIMARY KEY, kind text NOT NULL, amount int NOT NULL);
    INSERT INTO items SELECT n, 'kind ' || n % 7, n FROM generate_series(1, 3000) AS n;
    INSERT INTO audit VALUES ('1');`,
  "2_alter-items.sql": `
    ALTER TABLE items ADD COLUMN price numeric(10, 2) NOT NULL DEFAULT 1.50;
    UPDATE items SET amount = amount + 1;
    ALTER TABLE items ADD CONSTRAINT amount_is_positive CHECK (amount > 0) NOT VALID;
    UPDATE counters SET value = value + 1 WHERE name = 'files';
    INSERT INTO audit VALUES ('2');`,
  "3_create-shop.sql": `
    CREATE SCHEMA shop;
    SET search_path = shop, public;
    CREATE TABLE orders (id int PRIMARY KEY, number int NOT NULL, customer text NOT NULL, total int);
    INSERT INTO orders SELECT n, n, 'Customer ' || n % 100, n % 1000 FROM generate_series(1, 8000) AS n;
    CREATE INDEX orders_old ON orders (total, number);
    INSERT INTO audit VALUES ('3');
    UPDATE counters SET value = value + 1 WHERE name = 'files';`,
  "4_create-events.sql": `
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE events (at date NOT NULL, mood mood) PARTITION BY RANGE (at);
    CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO events SELECT date '2024-01-01' + n % 730, 'good' FROM generate_series(1, 2000) AS n;
    INSERT INTO audit VALUES ('4');`,
  "5_rename-kind.sql": `
    INSERT INTO audit VALUES ('5');
    ALTER TABLE items RENAME COLUMN kind TO category;
    CREATE INDEX IF NOT EXISTS items_category ON items (category);
    UPDATE counters SET value = value * 2 + 1 WHERE name = 'files';`,
};

/** What follows the others: files without a transaction, and one with a transaction between them. */
export const stepwise: MigrationFiles = {
  "6_index-orders.sql": `-- headgate: no-transaction
    SET search_path = shop, public;
    CREATE INDEX CONCURRENTLY orders_total ON orders (total);
    INSERT INTO audit VALUES ('6 after the first index');
    CREATE UNIQUE INDEX CONCURRENTLY orders_number ON orders (number);
    UPDATE counters SET value = value + 1 WHERE name = 'steps';
    CREATE INDEX CONCURRENTLY ON orders (customer);
    CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_customer ON orders (lower(customer)) WHERE total > 10;
    REINDEX INDEX CONCURRENTLY orders_total;
    DROP INDEX CONCURRENTLY orders_old;
    RESET search_path;
    INSERT INTO audit VALUES ('6 at the end');`,
  "7_alter-events.sql": `-- headgate: no-transaction
    SET fault.note = 'as the first step has set it';
    ALTER TYPE mood ADD VALUE 'mixed' BEFORE 'bad';
    INSERT INTO events VALUES ('2025-06-01', 'mixed');
    ALTER TABLE items VALIDATE CONSTRAINT amount_is_positive;
    ALTER TABLE events DETACH PARTITION events_2024 CONCURRENTLY;
    UPDATE counters SET value = value * 3 + 1 WHERE name = 'more steps';
    VACUUM (ANALYZE) items;
    INSERT INTO audit VALUES ('7 ' || current_setting('fault.note'));`,
  "8_alter-orders.sql": `
    ALTER TABLE shop.orders ADD COLUMN paid boolean NOT NULL DEFAULT false;
    UPDATE shop.orders SET total = total + 1;
    INSERT INTO audit VALUES ('8');`,
  "9_index-items.sql": `-- headgate: no-transaction
    CREATE INDEX CONCURRENTLY items_amount ON items (amount);`,
};

/** What must be there in the end, besides being the same as without any fault. */
export const expected = {
  transactional: {
    audit: ["1", "2", "3", "4", "5"],
    counters: { files: 5, steps: 0, "more steps": 0 },
  },
  stepwise: {
    audit: [
      ...["1", "2", "3", "4", "5", "6 after the first index", "6 at the end"],
      ...["7 as the first step has set it", "8"],
    ],
    counters: { files: 5, steps: 1, "more steps": 1 },
  },
} as const;
