// Answers how a text reads: its words, its characters and its SHA-256.
import { newApp } from "./app.js";

const port = Number(process.env.PORT ?? 8080);
const shutdownGrace = 10_000;

const server = newApp().listen(port, (error) => {
  if (error) throw error;
  console.log(JSON.stringify({ message: "listening", port: server.address().port }));
});

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => {
    server.close();
    setTimeout(() => server.closeAllConnections(), shutdownGrace).unref();
  });
