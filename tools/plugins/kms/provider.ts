import type { Provider } from "@pulumi/pulumi/provider";
import { type KmsKey, kmsSignature } from "../../../stacks/kms";
import { readToolchain } from "../../../stacks/toolchain";

/** What is signed, and by which key; the inputs of the resource. */
export interface SignatureInputs extends KmsKey {
  /** Checksum of the definition, in hexadecimal. */
  checksum: string;
}

/** Inputs whose change needs another signature; another name of the same key does not. */
const replacing = ["checksum", "publicKeyPem"] as const satisfies readonly (keyof SignatureInputs)[];

/** The provider of `kms:index:Signature`: a signature that is made once, by a key that stays in its service. */
export const kmsProvider = {
  version: "0.1.0",
  schema: JSON.stringify({ name: "kms", version: "0.1.0", resources: {} }),

  diff: (_id: string, _urn: string, olds: SignatureInputs, news: SignatureInputs) => {
    const replaces = replacing.filter((key) => olds[key] !== news[key]);
    return Promise.resolve({ changes: replaces.length > 0, replaces });
  },

  create: (_urn: string, inputs: SignatureInputs) => {
    const signature = kmsSignature(readToolchain().bin, inputs, Buffer.from(inputs.checksum, "hex"));
    return Promise.resolve({ id: inputs.checksum, outs: { ...inputs, signature } });
  },
} satisfies Provider;
