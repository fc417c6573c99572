// Stands in for a service that speaks HTTPS, and fails. Arguments: its port, the directory of its certificates, the file of its orders.
//
// At SIGHUP it drops its connections and fails as the file says from then on: `foreign` and `expired` show the certificates of
// these names, `silent` and `erroring` the service's own one, and then no answer or HTTP status 500.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const [port, certificates, orders] = process.argv.slice(1);
const certificate = (name) => ({
  cert: readFileSync(`${certificates}/${name}.crt`),
  key: readFileSync(`${certificates}/${name}.key`),
});

let order = "erroring";
const server = createServer(certificate("own"), (_, answer) => {
  if (order !== "silent") answer.writeHead(500, { connection: "close" }).end("the stand-in fails\n");
});
process.on("SIGHUP", () => {
  order = readFileSync(orders, "utf8");
  server.setSecureContext(certificate(order === "foreign" || order === "expired" ? order : "own"));
  server.closeAllConnections();
});
process.on("SIGTERM", () => process.exit(0));
server.listen(Number(port));
