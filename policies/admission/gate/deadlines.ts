/** How long each part of an admission may take. Each leaves the one that waits for it time to say what happened. */
export const deadlines = {
  /** The verifier's answer, whatever registry and log do. */
  verifierMilliseconds: 6_000,
  /** Gatekeeper's question to the verifier. */
  providerSeconds: 7,
  /** The API server's question to Gatekeeper. */
  webhookSeconds: 10,
} as const;
