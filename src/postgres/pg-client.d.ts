// @types/pg describes the package's front door only. headgate imports the client behind it, because the front door
// also loads the pool, pgpass and the native bindings' stub at every boot.
declare module "pg/lib/client.js" {
  import { Client } from "pg";
  export default Client;
}
