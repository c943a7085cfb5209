import assert from "node:assert/strict";
import { test } from "node:test";
import { nameApplication } from "../../../src/postgres/application-name.ts";
import { version } from "../../../src/version.ts";

test("L5 a session is named for its version, host and file", () => {
  assert.equal(nameApplication("api-7f9c"), `headgate/${version} api-7f9c`);
  assert.equal(nameApplication("api", "3_add-index.sql"), `headgate/${version} api 3_add-index`);
  assert.equal(nameApplication("api", "4_SCRIPT.JS"), `headgate/${version} api 4_SCRIPT`);
});

test("L5 a name keeps to the server's 63 bytes, with the file's number and the end of the host", () => {
  const host = "production-api-deployment-with-a-long-name-6b7f9c5d4-x2k8q";
  const file = "1234_add-a-very-long-description-of-what-this-file-does-to-the-tables.sql";
  for (const name of [
    nameApplication(host),
    nameApplication(host, file),
    nameApplication("h", file),
    nameApplication(host, "5_a.sql"),
  ]) {
    assert.ok(name.length <= 63, name);
    assert.ok(name.startsWith(`headgate/${version} `));
  }
  assert.match(nameApplication(host, file), /6b7f9c5d4-x2k8q 1234_add-a-very-long/);
  assert.match(nameApplication(host, "5_a.sql"), /6b7f9c5d4-x2k8q 5_a$/);
});

test("L5 a name is ASCII without blanks, which every server version shows as it is", () => {
  const name = nameApplication("höst name", "1_größe ändern.sql");
  assert.equal(name, `headgate/${version} h_st_name 1_gr__e__ndern`);
});
