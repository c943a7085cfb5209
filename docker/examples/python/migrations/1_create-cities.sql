CREATE TABLE cities (name text PRIMARY KEY);
INSERT INTO cities VALUES ('Delft'), ('Utrecht');
