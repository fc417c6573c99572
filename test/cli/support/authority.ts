import { execFileSync } from "node:child_process";
import { createPrivateKey, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate of an authority as Fulcio gives it, and the key that it is for. */
export interface Leaf {
  certificatePem: string;
  privateKey: KeyObject;
}

/** What a leaf says. */
export interface LeafContent {
  /** As openssl writes it, such as `URI:spiffe://...`. */
  subjectAltName: string;
  /** Of Fulcio's extensions for the issuer. */
  issuer: string;
  /** @default codeSigning */
  extendedKeyUsage?: string;
}

/** An authority of the test's own. Its leaves are valid from now on for a day. */
export interface Authority {
  certificatePem: string;
  issue: (content: LeafContent) => Leaf;
}

const rawExtension = (value: string): string =>
  `DER:${Buffer.from(value)
    .toString("hex")
    .replace(/..(?=.)/g, "$&:")}`;

/** Makes an authority that is its own root. */
export const makeAuthority = (): Authority => {
  const make = (extensions: string[], signer?: Leaf): Leaf => {
    const directory = mkdtempSync(join(tmpdir(), "ssf-authority-"));
    const file = (name: string, content?: string): string => {
      const path = join(directory, name);
      if (content !== undefined) writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    try {
      const [key, certificate] = [file("key.pem"), file("certificate.pem")];
      const config = [
        ...["[req]", "distinguished_name=name", "x509_extensions=extensions", "prompt=no"],
        ...["[name]", `O=${signer ? "leaf" : "authority"}`, "[extensions]", ...extensions],
      ];
      const signed = signer
        ? [
            ...["-CA", file("ca.pem", signer.certificatePem)],
            ...["-CAkey", file("ca-key.pem", signer.privateKey.export({ type: "pkcs8", format: "pem" }) as string)],
          ]
        : [];
      execFileSync(
        "openssl",
        [
          ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"],
          ...["-config", file("config", config.join("\n")), "-keyout", key, "-out", certificate, ...signed],
        ],
        { stdio: "pipe" },
      );
      return {
        certificatePem: readFileSync(certificate, "utf8"),
        privateKey: createPrivateKey(readFileSync(key, "utf8")),
      };
    } finally {
      rmSync(directory, { recursive: true });
    }
  };

  const root = make([
    "basicConstraints=critical,CA:true",
    "keyUsage=critical,keyCertSign",
    "subjectKeyIdentifier=hash",
  ]);
  return {
    certificatePem: root.certificatePem,
    issue: ({ subjectAltName, issuer, extendedKeyUsage = "codeSigning" }) =>
      make(
        [
          ...["keyUsage=critical,digitalSignature", `extendedKeyUsage=${extendedKeyUsage}`],
          ...["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid", `subjectAltName=critical,${subjectAltName}`],
          ...[`1.3.6.1.4.1.57264.1.1=${rawExtension(issuer)}`, `1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:${issuer}`],
        ],
        root,
      ),
  };
};
