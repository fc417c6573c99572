import { createHash } from "node:crypto";
import express from "express";
import { Counter, Registry } from "prom-client";

export const longestText = 1 << 20;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What the service finds out about a text. */
const summaryOf = (bytes) => {
  const text = decoder.decode(bytes);
  return {
    words: text.split(/\s+/u).filter((word) => word !== "").length,
    characters: [...text].length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  };
};

const summarize = (request, response) => {
  const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  try {
    response.json(summaryOf(bytes));
  } catch (error) {
    if (error?.code !== "ERR_ENCODING_INVALID_ENCODED_DATA") throw error;
    response.status(415).json({ error: "the text is not UTF-8" });
  }
};

const answerError = (error, _request, response, next) => {
  if (response.headersSent) return next(error);
  if (error.type === "entity.too.large") return response.status(413).json({ error: "the text is longer than 1 MiB" });
  console.error(error);
  return response.status(500).json({ error: "the service failed" });
};

/** The service with its own metrics registry. */
export const newApp = () => {
  const registry = new Registry();
  const requests = new Counter({
    name: "npm_service_requests_total",
    help: "Requests by route and status.",
    labelNames: ["route", "status"],
    registers: [registry],
  });

  const app = express().disable("x-powered-by");
  app.use((request, response, next) => {
    response.on("finish", () => requests.inc({ route: request.route?.path ?? "", status: response.statusCode }));
    next();
  });
  app.get("/healthz", (_request, response) => response.json("ok"));
  app.get("/metrics", async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  app.post("/v1/summary", express.raw({ type: () => true, limit: longestText }), summarize);
  app.use(answerError);
  return app;
};
