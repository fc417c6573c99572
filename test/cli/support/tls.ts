import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate for one name, which is its own authority. */
export interface Certificate {
  certificatePem: string;
  keyPem: string;
}

export const certificateFor = (name: string): Certificate => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-tls-"));
  try {
    const [key, certificate] = [join(directory, "key.pem"), join(directory, "cert.pem")];
    execFileSync(
      "openssl",
      [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
        ...["-subj", "/CN=test", "-addext", `subjectAltName=DNS:${name}`, "-keyout", key, "-out", certificate],
      ],
      { stdio: "ignore" },
    );
    return { certificatePem: readFileSync(certificate, "utf8"), keyPem: readFileSync(key, "utf8") };
  } finally {
    rmSync(directory, { recursive: true });
  }
};

/** A TLS server on a free port of 127.0.0.1. */
export const listen = async (
  { certificatePem, keyPem }: Certificate,
  listener: RequestListener,
): Promise<{ server: Server; port: number }> => {
  const server = createServer({ cert: certificatePem, key: keyPem }, listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
};
