import * as pulumi from "@pulumi/pulumi";

/** Inputs of {@link KmsSignature}; see the provider in `tools/plugins/kms`. */
export interface KmsSignatureArgs {
  /** Checksum of the definition that is signed, in hexadecimal. */
  checksum: pulumi.Input<string>;
  /** Name of the key, as Sigstore writes it. */
  keyReference: pulumi.Input<string>;
  /** The key that the signature holds for, as SPKI PEM. */
  publicKeyPem: pulumi.Input<string>;
}

/**
 * A signature by a key that stays in a key management service, served by the provider in `tools/plugins/kms`. It is made
 * once and kept in the state, because most such services give another one each time.
 */
export class KmsSignature extends pulumi.CustomResource {
  /** The signature, in base64. */
  declare public readonly signature: pulumi.Output<string>;

  constructor(name: string, args: KmsSignatureArgs, opts?: pulumi.CustomResourceOptions) {
    super("kms:index:Signature", name, { ...args, signature: undefined }, opts);
  }
}
