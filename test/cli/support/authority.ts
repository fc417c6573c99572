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
  /** Of Fulcio's extensions for the issuer. @default none of them */
  issuer?: string;
  /** @default codeSigning */
  extendedKeyUsage?: string;
  /** Whether its time is over. @default it is valid from now on for a day */
  expired?: true;
}

/** An authority of the test's own. */
export interface Authority {
  certificatePem: string;
  issue: (content: LeafContent) => Leaf;
}

const rawExtension = (value: string): string =>
  `DER:${Buffer.from(value)
    .toString("hex")
    .replace(/..(?=.)/g, "$&:")}`;

/** The settings by which openssl issues a certificate for a time that is over. */
const overdue = [
  ...["[ca]", "default_ca=authority", "[authority]", "database=database", "rand_serial=yes", "default_md=sha256"],
  ...["new_certs_dir=.", "policy=policy", "[policy]", "organizationName=supplied"],
];
const overdueDates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"];

/** Makes an authority that is its own root. */
export const makeAuthority = (): Authority => {
  const make = (extensions: string[], signer?: Leaf, expired = false): Leaf => {
    const directory = mkdtempSync(join(tmpdir(), "ssf-authority-"));
    const file = (name: string, content?: string): string => {
      const path = join(directory, name);
      if (content !== undefined) writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    try {
      const [key, certificate] = [file("key.pem"), file("certificate.pem")];
      const config = [
        ...["[req]", "distinguished_name=name", `x509_extensions=${expired ? "none" : "extensions"}`, "prompt=no"],
        ...["[name]", `O=${signer ? "leaf" : "authority"}`, "[none]", "[extensions]", ...extensions, ...overdue],
      ];
      const configured = ["-config", file("config", config.join("\n"))];
      const by = (signer: Leaf, certificateFlag: string, keyFlag: string): string[] => [
        ...[certificateFlag, file("ca.pem", signer.certificatePem)],
        ...[keyFlag, file("ca-key.pem", signer.privateKey.export({ type: "pkcs8", format: "pem" }) as string)],
      ];
      const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
      const forNewKey = [
        ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key],
        ...configured,
      ];
      if (signer !== undefined && expired) {
        const request = file("request.pem");
        file("database", "");
        openssl("req", "-new", ...forNewKey, "-out", request);
        const what = ["-in", request, "-out", certificate, "-extensions", "extensions", "-batch", "-notext"];
        openssl("ca", ...configured, ...what, ...overdueDates, ...by(signer, "-cert", "-keyfile"));
      } else {
        const signed = signer === undefined ? [] : by(signer, "-CA", "-CAkey");
        openssl("req", "-x509", "-days", "1", ...forNewKey, "-out", certificate, ...signed);
      }
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
    issue: ({ subjectAltName, issuer, extendedKeyUsage = "codeSigning", expired }) =>
      make(
        [
          ...["keyUsage=critical,digitalSignature", `extendedKeyUsage=${extendedKeyUsage}`],
          ...["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid", `subjectAltName=critical,${subjectAltName}`],
          ...(issuer === undefined
            ? []
            : [`1.3.6.1.4.1.57264.1.1=${rawExtension(issuer)}`, `1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:${issuer}`]),
        ],
        root,
        expired,
      ),
  };
};
